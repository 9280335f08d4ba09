"""The certificate that the service shows, where it speaks TLS itself."""

import ssl
from pathlib import Path


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """TLS 1.2 or newer with this certificate chain and private key, both PEM; None where neither is given.

    ValueError names the setting and the file where one is missing, cannot be read, or does not fit the other.
    """
    if certificate is None or key is None:
        return None
    for name, path in (("HASTE_TLS_CERTIFICATE", certificate), ("HASTE_TLS_KEY", key)):
        try:
            path.read_bytes()
        except OSError as error:
            raise ValueError(f"{name}: cannot read {path}: {error.strerror}") from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        raise ValueError(
            f"HASTE_TLS_CERTIFICATE {certificate} and HASTE_TLS_KEY {key} are no PEM certificate and its key: {reason}"
        ) from None
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; give one without a password")
