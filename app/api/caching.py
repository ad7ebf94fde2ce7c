"""How long others may keep a product page."""


def page_headers(cache_control: str, *, for_all: bool) -> dict[str, str]:
    """Return the headers of a page; where keys are set it is for its caller alone, whatever the setting says."""
    if for_all:
        return {"Cache-Control": cache_control}
    parts = [part.strip() for part in cache_control.split(",")]
    kept = [
        part for part in parts if part.partition("=")[0].lower() not in {"public", "private", "s-maxage", ""}
    ]
    return {"Cache-Control": ", ".join(["private", *kept]), "Vary": "Authorization"}
