// The dialog that asks for a key.

import { $ } from "./dom.js";

const NAMES = { data: "Data key", admin: "Admin key" };
let open = null;

/** The key that the person gives, or null. One dialog at a time. */
export async function askForKey(role, why) {
  while (open) await open;
  const dialog = $("keys");
  $("keys-title").textContent = $("key-label").textContent = NAMES[role];
  $("keys-why").textContent = why[0].toUpperCase() + why.slice(1);
  $("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  open = new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  await open;
  open = null;
  const key = dialog.returnValue === "use" ? $("key").value.trim() : "";
  $("key").value = "";
  return key || null;
}
