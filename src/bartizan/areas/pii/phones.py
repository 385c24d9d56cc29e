"""Telephone numbers: international ones by the calling code and lengths of its numbering plan, national ones by form and context.

Lengths are those of the national significant number, shortest and longest, as the national plans notified under ITU-T E.164 give them;
numbers of fewer than seven digits are left out, as they are not unique to a person.
"""

from __future__ import annotations

_PLANS = {
    (5, 10): "27 64 685",
    (5, 11): "31 852",
    (5, 12): "61 358 971",
    (5, 14): "82",
    (6, 6): "298 299 672 687",
    (6, 7): "597",
    (6, 9): "40 252 355 376 421 508 681 689",
    (6, 10): "48 53 95 98 880",
    (6, 11): "352 375 595",
    (6, 12): "39 46 359 381",
    (6, 13): "43 63",
    (6, 15): "49",
    (7, 7): "238 239 246 248 269 291 297 592 673 674 676 677 678 680 682 688 690 691 692",
    (7, 8): "47 241 386 599 670 675 686 853 961 965 975",
    (7, 9): "220 231 245 265 354 385 423 967 968",
    (7, 10): "44 84 230 243 254 263 267 353 372 960",
    (7, 11): "501 503 507 679 886 974",
    (7, 12): "86 972",
    (7, 13): "90",
    (7, 14): "62",
    (8, 8): "45 216 222 223 226 227 228 232 235 236 253 257 266 350 356 357 370 371 373 374 389 505 509 973 993",
    (8, 9): "32 36 51 213 224 233 237 250 258 264 268 377 382 387 591 962 963",
    (8, 10): "20 60 229 378 506 850 855 856 964 970 976",
    (8, 11): "55 57 65 502 504 593 977",
    (8, 12): "92 383",
    (8, 13): "66 81 91",
    (9, 9): "33 34 93 94 211 212 218 221 240 242 244 249 251 255 256 260 261 262 351 590 594 596 992 994 995 998",
    (9, 10): "380 966 996",
    (9, 11): "56",
    (9, 12): "41 420",
    (10, 10): "1 52 58 225",
    (10, 11): "54",
    (10, 12): "30",
    (10, 14): "7 234",
}
LENGTHS: dict[str, tuple[int, int]] = {code: span for span, codes in _PLANS.items() for code in codes.split()}

WORDS = frozenset({
    "answering", "call", "called", "calling", "calls", "cell", "cellulare", "celular", "contact", "desk", "dial", "fax", "faxes",
    "handy", "hotline", "message", "messages", "mobil", "mobile", "mobiles", "movil", "móvil", "nummer", "ph", "phone", "phoneno",
    "phonenumber", "phonenumbers", "phones", "portable", "puhelin", "reach", "ring", "sms", "tel", "telefon", "telefone", "telefono",
    "telefonu", "telefoon", "telephone", "telephones", "teléfono", "text", "tlf", "téléphone", "whatsapp",
})  # fmt: skip
"""Words before a telephone number."""
OTHERS = frozenset({
    "account", "amount", "apt", "box", "card", "date", "iban", "id", "invoice", "isbn", "licence", "license", "order", "passport",
    "postcode", "price", "serial", "social", "ssn", "suite", "ticket", "total", "when", "zip",
})  # fmt: skip
"""Words that, nearer than one of `WORDS`, speak of something else."""
WORDS_BEHIND = r"(?:-| |\\,|, ?|\()*(?:office|mobile|fax|cell|home|desk|work|phone)"


def international(digits: str) -> bool:
    """Do `digits`, calling code first and no trunk prefix, fit a numbering plan?"""
    for width in (1, 2, 3):
        span = LENGTHS.get(digits[:width])
        if span is not None:
            national = digits[width:]
            plain = national[1:] if national.startswith("0") and digits[:width] != "39" else national
            return span[0] <= len(plain) <= span[1] and (digits[0] != "1" or plain[0] in "23456789")
    return False


def north_american(digits: str) -> bool:
    """Ten digits (or eleven with a leading 1) whose area code can exist: it starts with 2 to 9 and is no service code."""
    national = digits[1:] if len(digits) == 11 and digits[0] == "1" else digits
    return len(national) == 10 and national[0] in "23456789" and national[1:3] != "11"
