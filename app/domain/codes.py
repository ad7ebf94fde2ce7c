"""Codes of SKUs and warehouses: the text that names them, checked at the edge and never changed."""

import unicodedata

SKU_CHARS_MAX = 64
WAREHOUSE_CHARS_MAX = 24
_FORBIDDEN = '{}"\\'


def check_sku(text: str) -> str:
    """`text` itself, if it can name a SKU; otherwise a ValueError with a sentence."""
    return _check(text, "sku", SKU_CHARS_MAX)


def check_warehouse(text: str) -> str:
    """`text` itself, if it can name a warehouse; otherwise a ValueError with a sentence."""
    return _check(text, "warehouse", WAREHOUSE_CHARS_MAX)


def _check(text: str, noun: str, chars_max: int) -> str:
    if not 1 <= len(text) <= chars_max:
        raise ValueError(f"a {noun} has 1 to {chars_max} characters, not {len(text)}")
    if text != text.strip():
        raise ValueError(f"a {noun} has no blank at either end")
    if not text.isprintable() or any(char in _FORBIDDEN for char in text):
        raise ValueError(f'a {noun} has printable characters only, and none of {{ }} " \\')
    if text in {".", ".."}:
        raise ValueError(f"a {noun} is neither . nor ..")
    if not unicodedata.is_normalized("NFC", text):
        raise ValueError(f"a {noun} is written in NFC, the composed form of Unicode")
    return text
