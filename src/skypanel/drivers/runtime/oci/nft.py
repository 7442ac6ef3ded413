"""nftables without a process per command: its own library, or the program where the library is missing."""

from __future__ import annotations

import ctypes
import threading

from skypanel.drivers import shell
from skypanel.drivers.runtime.port import RuntimeFailed

LIBRARY = "libnftables.so.1"
_lock = threading.Lock()


class Nft:
    def __init__(self) -> None:
        try:
            library = ctypes.CDLL(LIBRARY)
        except OSError:
            self._library: ctypes.CDLL | None = None
            return
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_get_output_buffer.restype = ctypes.c_char_p
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        for function in ("nft_ctx_free", "nft_ctx_buffer_output", "nft_ctx_buffer_error",
                         "nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):  # fmt: skip
            getattr(library, function).argtypes = [ctypes.c_void_p]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._library = library

    def run(self, commands: str) -> str:
        """Runs them as one transaction and returns what they print. Raises RuntimeFailed."""
        if self._library is None:
            try:
                return shell.run(["nft", "-f", "-"], stdin=commands.encode()).stdout.decode()
            except shell.CommandFailed as error:
                raise RuntimeFailed(f"the firewall could not be set: {error}") from error
        with _lock:
            context = self._library.nft_ctx_new(0)
            try:
                self._library.nft_ctx_buffer_output(context)
                self._library.nft_ctx_buffer_error(context)
                failed = self._library.nft_run_cmd_from_buffer(context, commands.encode())
                if failed:
                    words = (self._library.nft_ctx_get_error_buffer(context) or b"").decode(errors="replace").strip()
                    raise RuntimeFailed(f"the firewall could not be set: {words[:1000]}")
                output: bytes = self._library.nft_ctx_get_output_buffer(context) or b""
                return output.decode()
            finally:
                self._library.nft_ctx_free(context)
