"""A number of a spreadsheet -> as a person sees it: decimals, thousands, per cent, currency. Dates are ISO 8601."""

import datetime as dt
import decimal
import re

_GENERAL = {"", "General", "@"}
BUILT_IN = {
    1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 37: "#,##0", 38: "#,##0",
    39: "#,##0.00", 40: "#,##0.00", 44: "#,##0.00", 43: "#,##0.00", 41: "#,##0", 42: "#,##0", 48: "0.0E+0",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm", 19: "h:mm:ss", 20: "h:mm", 21: "h:mm:ss",
    22: "yyyy-mm-dd h:mm", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss",
}  # fmt: skip
_QUOTED = re.compile(r'"([^"]*)"|\\(.)|\[\$([^\]-]*)[^\]]*\]')
_UNSEEN = re.compile(r"_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|\?")
_DIGITS = re.compile(r"[#0][#0,]*(?:\.[#0]*)?,*(?:E[+-]0+)?|\.0+")
_SERIAL_BUG = 60  # spreadsheets count a 29th of February 1900
_MAX_SERIAL = 2_958_465  # the end of the year 9999
_MAX_DIGITS = 700
_SECONDS_A_DAY = 86_400


def shown(value: float, code: str, *, since_1904: bool = False) -> str:
    """Return a number in a format as spreadsheets write it. One that is not understood is shown in full."""
    literals: list[str] = []

    def keep(match: re.Match[str]) -> str:
        literals.append(match[1] or match[2] or match[3] or "")
        return f"\x00{chr(0xE000 + len(literals) - 1)}"

    sections = [_UNSEEN.sub("", section) for section in _QUOTED.sub(keep, code).split(";")]
    section = sections[1] if value < 0 and len(sections) > 1 else sections[0]
    section = sections[2] if value == 0 and len(sections) > 2 and sections[2] else section  # noqa: PLR2004
    bare = re.sub("\x00.", "", section)
    if bare in _GENERAL:
        text = in_full(value)
    elif re.search(r"[ymdhs]", bare, re.IGNORECASE):
        return _date(value, bare.lower(), since_1904=since_1904)
    else:
        match = _DIGITS.search(section)
        if match is None:
            return in_full(value)
        number = abs(value) if len(sections) > 1 and value < 0 else value
        text = section[: match.start()] + _number(number, match[0], section) + section[match.end() :]
    return re.sub("\x00(.)", lambda match: literals[ord(match[1]) - 0xE000], text).strip()


def in_full(value: float) -> str:
    """Return a number without a format."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else f"{value:.15g}"  # noqa: PLR2004 - as shown


def _number(value: float, digits: str, section: str) -> str:
    if "E" in digits:
        return f"{value:.{len(digits.partition('E')[0].partition('.')[2])}E}"
    thousands = len(digits) - len(digits.rstrip(","))
    whole, _, decimals = digits.rstrip(",").partition(".")
    with decimal.localcontext(prec=_MAX_DIGITS):
        exact = decimal.Decimal(repr(value)).scaleb(2 * section.count("%") - 3 * thousands)
        rounded = exact.quantize(decimal.Decimal(1).scaleb(-len(decimals)), decimal.ROUND_HALF_UP)
    text = f"{rounded:{',' if ',' in whole else ''}f}"
    for place in reversed(decimals):
        if place == "#" and text.endswith("0"):
            text = text[:-1]
        else:
            break
    sign, text = ("-", text[1:]) if text.startswith("-") else ("", text)
    return f"{sign}{text.rstrip('.').rjust(whole.count('0'), '0')}"


def _date(value: float, code: str, *, since_1904: bool) -> str:
    """Return the parts of a moment that a format shows."""
    if not 0 <= value < _MAX_SERIAL:
        return in_full(value)
    days, seconds = divmod(round(value * _SECONDS_A_DAY), _SECONDS_A_DAY)
    if "[h" in code or "[m" in code or "[s" in code:
        seconds += days * _SECONDS_A_DAY
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    start = dt.datetime(1904, 1, 1) if since_1904 else dt.datetime(1899, 12, 31 if days < _SERIAL_BUG else 30)  # noqa: DTZ001
    moment = start + dt.timedelta(days=days, seconds=seconds)
    time = moment.strftime("%H:%M:%S" if "s" in code else "%H:%M")
    is_day = "y" in code or "d" in code
    if "h" in code or "s" in code:
        return f"{moment:%Y-%m-%d} {time}" if is_day else time
    if "d" not in code and "m" in code:
        return f"{moment:%Y-%m}" if "y" in code else f"{moment:%B}"
    return f"{moment:%Y-%m-%d}" if "m" in code or "d" in code else f"{moment:%Y}"
