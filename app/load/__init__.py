"""The open-loop load tool: a schedule, what is sent by it, what became of it, and how that is shown."""
