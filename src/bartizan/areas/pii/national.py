"""National identifiers: their shapes, check digits and the words that stand beside them, each by the rules its country publishes.

A rule is *strong* where what it asks for is rare: plain digits that pass in less than one of a thousand cases (two check digits and a
date), or a check digit or character on a shape that little else is written in. Strong ones are reported wherever they stand, the others
where a word of their country stands before them, or names their column: of the numbers in a table one in a hundred has two right check
digits, and times in milliseconds begin as many birthdays do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import msgspec

from bartizan.areas.pii.checksums import luhn, mod_11_2, mod_11_10, verhoeff, weighted
from bartizan.areas.pii.context import Phrases


class Rule(msgspec.Struct, frozen=True):
    """One identifier: `kind`, the `shapes` it is written in, its `test` on the bare characters in upper case, and its `words`.

    In a shape a digit stands for a run of so many digits, other characters for themselves: `3-2-4` is 123-45-6789. Shapes with letters
    write them as `A` and every digit as `9`: `99999999A`.
    """

    kind: str
    shapes: tuple[str, ...]
    test: Callable[[str], bool]
    words: str
    strong: bool = False
    tail: str = ""  # a pattern of further characters directly behind the shape that belong to it
    head: Callable[[str], bool] | None = None  # what the first four digits must be, for shapes of one run, where that rules out much

    @property
    def context(self) -> Phrases:
        """The words before it."""
        return _phrases(self.words)


@cache
def _phrases(words: str) -> Phrases:
    return Phrases(words)


_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _date(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= (29 if month == 2 and year % 4 == 0 else _DAYS[month - 1])


def is_date(year: int, month: int, day: int) -> bool:
    """Does the Gregorian calendar have that day, in a year of four digits?"""
    return _date(year, month, day) and (month != 2 or day != 29 or year % 100 != 0 or year % 400 == 0)


def _ymd(digits: str) -> bool:
    return _date(int(digits[:2]), int(digits[2:4]), int(digits[4:6]))


def _dmy(digits: str) -> bool:
    return _date(int(digits[4:6]), int(digits[2:4]), int(digits[:2]))


def _varied(digits: str) -> bool:
    return len(set(digits)) > 2


def us_ssn(d: str) -> bool:
    """Social Security Administration: no area 000, 666 or 9xx, no group 00, no serial 0000; none of the numbers made famous by adverts."""
    return d[:3] not in ("000", "666") and d[0] != "9" and d[3:5] != "00" and d[5:] != "0000" and d not in ("078051120", "219099999")


def us_itin(d: str) -> bool:
    """Internal Revenue Service: 9xx with a group of 50-65, 70-88, 90-92 or 94-99."""
    if d[0] != "9":
        return False
    group = int(d[3:5])
    return 50 <= group <= 65 or 70 <= group <= 88 or 90 <= group <= 92 or 94 <= group <= 99


def gb_nhs(d: str) -> bool:
    """NHS number: weights ten to two, modulus 11."""
    check = 11 - weighted(d[:9], range(10, 1, -1)) % 11
    return check != 10 and check % 11 == int(d[9]) and _varied(d)


def gb_nino(c: str) -> bool:
    """National insurance number: two letters of those in use, six digits, a suffix of A to D."""
    return c[0] not in "DFIQUV" and c[1] not in "DFIQUVO" and c[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ") and c[8] in "ABCD"


def de_steuer_id(d: str) -> bool:
    """Identifikationsnummer (§ 139b AO): MOD 11,10; no leading zero; among the first ten digits one stands two or three times."""
    counts = sorted(d[:10].count(digit) for digit in set(d[:10]))
    return d[0] != "0" and counts[-1] in (2, 3) and counts[-2] == 1 and mod_11_10(d)


def de_rvnr(c: str) -> bool:
    """German pension insurance number: area, birthday, letter, serial, check digit over weighted sums of digits."""
    if not (1 <= int(c[4:6]) <= 12 and 1 <= int(c[2:4]) <= 81):
        return False
    digits = c[:8] + f"{ord(c[8]) - 64:02d}" + c[9:11]
    products = (int(d) * w for d, w in zip(digits, (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1), strict=True))
    return sum(p // 10 + p % 10 for p in products) % 10 == int(c[11])


def fr_nir(c: str) -> bool:
    """Numéro de sécurité sociale: thirteen characters (2A and 2B are Corsica) and 97 less their remainder modulo 97."""
    digits = c.replace("2A", "19", 1) if c[5:7] == "2A" else c.replace("2B", "18", 1) if c[5:7] == "2B" else c
    return (
        digits.isdigit()
        and c[0] in "12"
        and (1 <= int(c[3:5]) <= 12 or int(c[3:5]) >= 20)
        and 97 - int(digits[:13]) % 97 == int(digits[13:])
    )


_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"


def es_dni(c: str) -> bool:
    """DNI and NIE: the letter is the number modulo 23 in a table; X, Y, Z of a NIE count 0, 1, 2."""
    number = c[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return number.isdigit() and _DNI[int(number) % 23] == c[-1] and _varied(c[:-1])


_CF_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)


def it_codice_fiscale(c: str) -> bool:
    """Codice fiscale (D.M. 23 December 1976): month letter, day (plus 40 for women), check letter from odd and even places."""
    values = [ord(x) - 65 if x.isalpha() else int(x) for x in c]
    total = sum(_CF_ODD[v] for v in values[:15:2]) + sum(values[1:15:2])
    return c[8] in "ABCDEHLMPRST" and int(c[9:11]) % 40 in range(1, 32) and total % 26 == values[15]


def nl_bsn(d: str) -> bool:
    """Burgerservicenummer: weights nine to two, then minus one, modulus 11."""
    return (weighted(d[:8], range(9, 1, -1)) - int(d[8])) % 11 == 0 and _varied(d)


def be_national(d: str) -> bool:
    """Rijksregisternummer, and BIS number (month plus 20 or 40): 97 less the first nine digits modulo 97 (after a 2 since 2000)."""
    if int(d[2:4]) % 20 > 12 or int(d[2:4]) > 52 or int(d[4:6]) > 31:
        return False
    return int(d[9:]) in (97 - int(d[:9]) % 97, 97 - int("2" + d[:9]) % 97)


def pl_pesel(d: str) -> bool:
    """PESEL: a date with the century in its month, weights 1 3 7 9, modulus 10."""
    return _date(int(d[:2]), int(d[2:4]) % 20, int(d[4:6])) and (weighted(d[:10], (1, 3, 7, 9) * 3) + int(d[10])) % 10 == 0


def se_personnummer(d: str) -> bool:
    """Personnummer: a date (day plus 60 for co-ordination numbers) and a Luhn digit over the last ten."""
    d = d[-10:]
    return _date(int(d[:2]), int(d[2:4]), int(d[4:6]) % 60) and luhn(d)


def dk_cpr(d: str) -> bool:
    """CPR number: a date; the check digit was given up in 2007, so that the date alone decides."""
    return _dmy(d)


def no_fodselsnummer(d: str) -> bool:
    """Fødselsnummer: a date (day plus 40 for D-numbers) and two check digits, modulus 11."""
    if not _date(int(d[4:6]), int(d[2:4]) % 40, int(d[:2]) % 40):
        return False
    first = -weighted(d[:9], (3, 7, 6, 1, 8, 9, 4, 5, 2)) % 11
    second = -weighted(d[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (first, second) == (int(d[9]), int(d[10]))


def fi_hetu(c: str) -> bool:
    """Henkilötunnus: the date and serial modulo 31, in a table of letters; the sign between them is the century."""
    return _dmy(c) and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(c[:6] + c[-4:-1]) % 31] == c[-1]


def is_kennitala(d: str) -> bool:
    """Kennitala: a date, weights 3 2 7 6 5 4 3 2, modulus 11, century 8, 9 or 0."""
    return _dmy(d) and d[9] in "890" and -weighted(d[:8], (3, 2, 7, 6, 5, 4, 3, 2)) % 11 == int(d[8])


def ee_isikukood(d: str) -> bool:
    """Isikukood and asmens kodas: century and sex, a date, two rounds of weights, modulus 11."""
    check = weighted(d[:10], (1, 2, 3, 4, 5, 6, 7, 8, 9, 1)) % 11
    if check == 10:
        check = weighted(d[:10], (3, 4, 5, 6, 7, 8, 9, 1, 2, 3)) % 11 % 10
    return d[0] in "123456" and _ymd(d[1:]) and check == int(d[10])


def lv_personas_kods(d: str) -> bool:
    """Personas kods: a date (or a leading 32, without one) and a weighted sum modulo 11."""
    return (d[:2] == "32" or _dmy(d)) and (1 + weighted(d[:10], (10, 5, 8, 4, 2, 1, 6, 3, 7, 9))) % 11 % 10 == int(d[10])


def cz_rodne_cislo(d: str) -> bool:
    """Rodné číslo of ten digits: a date (month plus 50 for women, plus 20 where the day was full), divisible by 11.

    Until 1985 a remainder of ten of the first nine digits was written 0.
    """
    month = int(d[2:4]) % 50
    if len(d) != 10 or not _date(int(d[:2]), month - 20 if month > 20 else month, int(d[4:6])):
        return False
    return int(d) % 11 == 0 or (d[9] == "0" and int(d[:9]) % 11 == 10)


def ro_cnp(d: str) -> bool:
    """Cod numeric personal: sex and century, a date, a county, weights 279146358279, modulus 11."""
    if d[0] == "0" or not _ymd(d[1:]) or not 1 <= int(d[7:9]) <= 52:
        return False
    check = weighted(d[:12], (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9)) % 11
    return (1 if check == 10 else check) == int(d[12])


def bg_egn(d: str) -> bool:
    """EGN: a date with the century in its month, weights 2 4 8 5 10 9 7 3 6, modulus 11."""
    return _date(int(d[:2]), int(d[2:4]) % 20, int(d[4:6])) and weighted(d[:9], (2, 4, 8, 5, 10, 9, 7, 3, 6)) % 11 % 10 == int(d[9])


def jmbg(d: str) -> bool:
    """JMBG and EMŠO: a date with three digits of the year, weights 7 to 2 twice, modulus 11."""
    if d[4] not in "90" or not _date(int(d[5:7]), int(d[2:4]), int(d[:2])):
        return False
    check = 11 - weighted(d[:12], (7, 6, 5, 4, 3, 2) * 2) % 11
    return check != 10 and check % 11 == int(d[12])


def pt_nif(d: str) -> bool:
    """Número de identificação fiscal of a person: first digit 1, 2 or 3, weights nine to two, modulus 11."""
    check = 11 - weighted(d[:8], range(9, 1, -1)) % 11
    return d[0] in "123" and (0 if check > 9 else check) == int(d[8]) and _varied(d)


def gr_amka(d: str) -> bool:
    """AMKA: a date and a Luhn digit."""
    return _dmy(d) and luhn(d)


def hu_taj(d: str) -> bool:
    """TAJ number: weights 3 and 7, modulus 10."""
    return weighted(d[:8], (3, 7) * 4) % 10 == int(d[8]) and _varied(d)


def at_svnr(d: str) -> bool:
    """Austrian social insurance number: serial, check digit in the fourth place, a date."""
    return d[0] != "0" and _dmy(d[4:]) and weighted(d, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(d[3])


def ch_ahv(d: str) -> bool:
    """AHV number: 756 and the check digit of EAN-13."""
    return d[:3] == "756" and (weighted(d[:12], (1, 3) * 6) + int(d[12])) % 10 == 0


def ie_pps(c: str) -> bool:
    """Personal public service number: weights eight to two and nine times a second letter A or H, modulus 23; T, W and X do not count."""
    if len(c) == 9 and c[8] not in "AHTWX":
        return False
    extra = 9 * (ord(c[8]) - 64) if len(c) == 9 and c[8] in "AH" else 0
    return "WABCDEFGHIJKLMNOPQRSTUV"[(weighted(c[:7], range(8, 1, -1)) + extra) % 23] == c[7]


def br_cpf(d: str) -> bool:
    """Cadastro de pessoas físicas: two check digits, modulus 11."""
    first = weighted(d[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(d[:10], range(11, 1, -1)) * 10 % 11 % 10
    return _varied(d) and (first, second) == (int(d[9]), int(d[10]))


def ar_cuit(d: str) -> bool:
    """CUIT and CUIL of a person: prefix 20, 23, 24 or 27, weights 5432765432, modulus 11."""
    check = -weighted(d[:10], (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return d[:2] in ("20", "23", "24", "27") and check == int(d[10])


def cl_rut(c: str) -> bool:
    """Rol único tributario: weights two to seven from the right, modulus 11; K stands for ten."""
    total = sum(int(d) * (2 + i % 6) for i, d in enumerate(reversed(c[:-1])))
    return "0123456789K"[-total % 11] == c[-1] and _varied(c)


_CURP = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ"


def mx_curp(c: str) -> bool:
    """CURP: initials, a date, sex, state, consonants, a weighted sum modulo 10."""
    total = sum(_CURP.index(x) * (18 - i) for i, x in enumerate(c[:17]))
    return _ymd(c[4:10]) and c[10] in "HMX" and -total % 10 == int(c[17])


def ca_sin(d: str) -> bool:
    """Social insurance number: Luhn, no leading 0 or 8."""
    return d[0] not in "08" and luhn(d) and _varied(d)


def in_aadhaar(d: str) -> bool:
    """Aadhaar: Verhoeff, no leading 0 or 1."""
    return d[0] not in "01" and verhoeff(d) and _varied(d)


def in_pan(c: str) -> bool:
    """Permanent account number of a person: the fourth letter is P."""
    return c[3] == "P"


def au_tfn(d: str) -> bool:
    """Tax file number: weights 1 4 3 7 5 8 6 9 10, modulus 11."""
    return weighted(d, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0 and _varied(d)


def au_medicare(d: str) -> bool:
    """Medicare card: first digit 2 to 6, weights 1 3 7 9 1 3 7 9, modulus 10."""
    return d[0] in "23456" and weighted(d[:8], (1, 3, 7, 9, 1, 3, 7, 9)) % 10 == int(d[8])


def nz_ird(d: str) -> bool:
    """Inland Revenue number: weights 3 2 7 6 5 4 3 2, second round 7 4 3 2 5 2 7 6, modulus 11."""
    d = d.zfill(9)
    check = -weighted(d[:8], (3, 2, 7, 6, 5, 4, 3, 2)) % 11
    if check == 10:
        check = -weighted(d[:8], (7, 4, 3, 2, 5, 2, 7, 6)) % 11
    return 10_000_000 < int(d) < 150_000_000 and check == int(d[8])


def cn_resident(c: str) -> bool:
    """Resident identity number (GB 11643): region, date, serial, MOD 11-2."""
    return (
        (c[17].isdigit() or c[17] == "X")
        and 1900 <= int(c[6:10]) <= 2100
        and _date(int(c[6:10]), int(c[10:12]), int(c[12:14]))
        and mod_11_2(c)
    )


_TW = "ABCDEFGHJKLMNPQRSTUVXYWZIO"


def tw_national(c: str) -> bool:
    """Taiwanese identity number: the letter counts ten and more, weights 1 9 8 7 6 5 4 3 2 1 1, modulus 10."""
    number = _TW.index(c[0]) + 10
    return c[1] in "1289" and (number // 10 + number % 10 * 9 + weighted(c[1:], (8, 7, 6, 5, 4, 3, 2, 1, 1))) % 10 == 0


def hk_id(c: str) -> bool:
    """Hong Kong identity card: a letter, six digits, a check character modulo 11."""
    total = 36 * 9 + (ord(c[0]) - 55) * 8 + weighted(c[1:7], range(7, 1, -1))
    return "0123456789A"[-total % 11] == c[7]


def sg_nric(c: str) -> bool:
    """Singapore NRIC and FIN: weights 2 7 6 5 4 3 2, an offset for T and G, a table of letters."""
    total = weighted(c[1:8], (2, 7, 6, 5, 4, 3, 2)) + (4 if c[0] in "TG" else 0)
    table = "JZIHGFEDCBA" if c[0] in "ST" else "XWUTRQPNMLK"
    return c[0] in "STFG" and table[total % 11] == c[8]


def kr_rrn(d: str) -> bool:
    """Resident registration number: a date, sex and century, weights 2 to 9 and 2 to 5, modulus 11."""
    return _ymd(d) and (11 - weighted(d[:12], (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)) % 11) % 10 == int(d[12])


def jp_my_number(d: str) -> bool:
    """My Number: weights two to seven from the right, modulus 11."""
    rest = weighted(d[:11], (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)) % 11
    return (0 if rest <= 1 else 11 - rest) == int(d[11]) and _varied(d)


def th_national(d: str) -> bool:
    """Thai identity number: weights thirteen to two, modulus 11."""
    return d[0] != "0" and (11 - weighted(d[:12], range(13, 1, -1)) % 11) % 10 == int(d[12]) and _varied(d)


def my_mykad(d: str) -> bool:
    """MyKad: a date and a place of birth; it has no check digit."""
    return _ymd(d) and d[6:8] not in ("00", "17", "18", "19", "20", "69", "70", "73", "80", "81", "94", "95", "96", "97")


def il_id(d: str) -> bool:
    """Israeli identity number: Luhn over nine digits."""
    return luhn(d) and _varied(d)


def tr_kimlik(d: str) -> bool:
    """T.C. Kimlik number: two check digits."""
    first = (7 * sum(map(int, d[0:9:2])) - sum(map(int, d[1:8:2]))) % 10
    return d[0] != "0" and first == int(d[9]) and sum(map(int, d[:10])) % 10 == int(d[10])


def za_id(d: str) -> bool:
    """South African identity number: a date, citizenship 0 or 1, Luhn."""
    return _ymd(d) and d[10] in "012" and luhn(d)


def ua_rntrc(d: str) -> bool:
    """Ukrainian tax number: days since 1900, weights -1 5 7 9 4 6 10 5 7, modulus 11."""
    return weighted(d[:9], (-1, 5, 7, 9, 4, 6, 10, 5, 7)) % 11 % 10 == int(d[9]) and _varied(d)


def ru_snils(d: str) -> bool:
    """SNILS: weights nine to one, modulus 101."""
    return weighted(d[:9], range(9, 0, -1)) % 101 % 100 == int(d[9:]) and _varied(d[:9])


def ru_inn(d: str) -> bool:
    """INN of a person: two check digits, modulus 11."""
    first = weighted(d[:10], (7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    second = weighted(d[:11], (3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8)) % 11 % 10
    return _varied(d) and (first, second) == (int(d[10]), int(d[11]))


def hr_oib(d: str) -> bool:
    """OIB: MOD 11,10."""
    return mod_11_10(d) and _varied(d)


def _birthday(head: str) -> bool:
    return 1 <= int(head[:2]) % 40 <= 31 and 1 <= int(head[2:]) % 40 <= 12


RULES: tuple[Rule, ...] = (
    Rule("us_ssn", ("3-2-4",), us_ssn, r"ssn|ss ?#|social.?security|soc\.? ?sec", strong=True),
    Rule("us_ssn", ("9", "3 2 4", "3.2.4"), us_ssn, r"ssn|ss ?#|social.?security|soc\.? ?sec"),
    Rule("us_itin", ("3-2-4",), us_itin, r"itin|taxpayer", strong=True),
    Rule("us_itin", ("9", "3 2 4"), us_itin, r"itin|individual taxpayer"),
    Rule("gb_nhs", ("10", "3 3 4", "3-3-4"), gb_nhs, r"nhs|national health"),
    Rule("gb_nino", ("AA999999A",), gb_nino, r"nino|national insurance|ni (?:no|num)", strong=True),
    Rule("de_steuer_id", ("11", "2 3 3 3"), de_steuer_id, r"steuer|identifikationsnummer|idnr|tax.?id|tin(?![a-z])"),
    Rule("de_rvnr", ("99999999A999",), de_rvnr, r"rente|sozialvers|versicherungsnum|rvnr|svnr|social", strong=True),
    Rule("fr_nir", ("15", "13 2", "1 2 2 2 3 3 2"), fr_nir, r"sécurité sociale|securite sociale|nir(?![a-z])|insee", strong=True,
         head=lambda head: head[0] in "12"),
    Rule("fr_nir", ("999999A99999999",), fr_nir, r"sécurité sociale|securite sociale|nir(?![a-z])|insee"),
    Rule("es_dni", ("99999999A", "A9999999A"), es_dni, r"dni|nie|nif|documento|identidad", strong=True),
    Rule("es_dni", ("8",), es_dni, r"dni|nie|nif|documento|identidad", tail="-[A-Za-z]", strong=True),
    Rule("it_codice_fiscale", ("AAAAAA99A99A999A",), it_codice_fiscale, r"codice|fiscale|cf(?![a-z])", strong=True),
    Rule("nl_bsn", ("9", "4.2.3", "3 3 3"), nl_bsn, r"bsn|burgerservice|sofi"),
    Rule("be_national", ("2.2.2-3.2",), be_national, r"rijksregister|registre national|insz|niss|nrn", strong=True),
    Rule("be_national", ("11",), be_national, r"rijksregister|registre national|insz|niss|nrn|belg"),
    Rule("pl_pesel", ("11",), pl_pesel, r"pesel|polsk|polish"),
    Rule("se_personnummer", ("6-4", "8-4"), se_personnummer, r"person|samordning|swed|svensk", strong=True),
    Rule("se_personnummer", ("10", "12"), se_personnummer, r"personn|samordning|swed|svensk"),
    Rule("dk_cpr", ("6-4", "10"), dk_cpr, r"cpr|personn|dan(?:ish|sk)"),
    Rule("no_fodselsnummer", ("11", "6 5"), no_fodselsnummer, r"fødsel|fodsel|personn|norw|norsk", strong=True, head=_birthday),
    Rule("fi_hetu", ("999999A999A", "999999A9999"), fi_hetu, r"hetu|henkil|personbeteckning", strong=True),
    Rule("fi_hetu", ("6-3",), fi_hetu, r"hetu|henkil|personbeteckning", tail="[0-9A-Ya-y]", strong=True),
    Rule("is_kennitala", ("6-4",), is_kennitala, r"kennital|icelan", strong=True),
    Rule("is_kennitala", ("10",), is_kennitala, r"kennital|icelan"),
    Rule("ee_isikukood", ("11",), ee_isikukood, r"isikukood|asmens|eston|lithuan|eest"),
    Rule("lv_personas_kods", ("6-5",), lv_personas_kods, r"personas|latvi", strong=True),
    Rule("lv_personas_kods", ("11",), lv_personas_kods, r"personas|latvi"),
    Rule("cz_rodne_cislo", ("6/4",), cz_rodne_cislo, r"rodn|birth number", strong=True),
    Rule("cz_rodne_cislo", ("10",), cz_rodne_cislo, r"rodn|birth number"),
    Rule("ro_cnp", ("13",), ro_cnp, r"cnp|cod numeric|roman"),
    Rule("bg_egn", ("10",), bg_egn, r"egn|егн|единен|bulgar"),
    Rule("jmbg", ("13",), jmbg, r"jmbg|em[sš]o|matičn|maticn"),
    Rule("pt_nif", ("9", "3 3 3"), pt_nif, r"nif|contribuinte|fiscal"),
    Rule("gr_amka", ("11",), gr_amka, r"amka|αμκα|greek"),
    Rule("hu_taj", ("9", "3 3 3", "3-3-3"), hu_taj, r"taj|társadalom|health insurance"),
    Rule("at_svnr", ("10", "4 6", "4-6"), at_svnr, r"sv-?n(?:r|um)|sozialvers|versicherungsn|austria|österr"),
    Rule("ch_ahv", ("3.4.4.2",), ch_ahv, r"ahv|avs|sozialvers", strong=True),
    Rule("ch_ahv", ("13",), ch_ahv, r"ahv|avs|sozialvers", strong=True, head=lambda head: head[:3] == "756"),
    Rule("ie_pps", ("9999999A", "9999999AA"), ie_pps, r"pps|rsi(?![a-z])|ireland|irish"),
    Rule("br_cpf", ("3.3.3-2", "3.3.3.2", "9-2"), br_cpf, r"cpf|cadastro", strong=True),
    Rule("br_cpf", ("11",), br_cpf, r"cpf|cadastro|brasil|brazil"),
    Rule("ar_cuit", ("2-8-1",), ar_cuit, r"cui[lt]|argentin", strong=True),
    Rule("ar_cuit", ("11",), ar_cuit, r"cui[lt]|argentin"),
    Rule("cl_rut", ("2.3.3-1", "1.3.3-1", "8-1", "7-1"), cl_rut, r"rut(?![a-z])|run(?![a-z])|chile|tributario"),
    Rule("cl_rut", ("2.3.3", "1.3.3"), cl_rut, r"rut(?![a-z])|run(?![a-z])|chile|tributario", tail="-[Kk]", strong=True),
    Rule("mx_curp", ("AAAA999999AAAAAAA9", "AAAA999999AAAAAA99"), mx_curp, r"curp|poblaci", strong=True),
    Rule("ca_sin", ("9", "3 3 3", "3-3-3"), ca_sin, r"sin(?![a-z])|social insurance|canad"),
    Rule("in_aadhaar", ("12", "4 4 4", "4-4-4"), in_aadhaar, r"aadhaar|aadhar|uidai|uid(?![a-z])"),
    Rule("in_pan", ("AAAAA9999A",), in_pan, r"pan(?![a-z])|permanent account|income tax", strong=True),
    Rule("au_tfn", ("9", "3 3 3"), au_tfn, r"tfn|tax file"),
    Rule("au_medicare", ("10", "4 5 1"), au_medicare, r"medicare"),
    Rule("nz_ird", ("8", "9", "2-3-3", "3-3-3"), nz_ird, r"ird(?![a-z])|inland revenue"),
    Rule("cn_resident", ("18", "99999999999999999A"), cn_resident, r"resident|身份|id ?n(?:o|um)|identity", strong=True,
         head=lambda head: head[0] in "12345678"),
    Rule("tw_national", ("A999999999",), tw_national, r"taiwan|national id|身分"),
    Rule("hk_id", ("A9999999", "A999999A"), hk_id, r"hkid|hong kong|identity card"),
    Rule("sg_nric", ("A9999999A",), sg_nric, r"nric|fin(?![a-z])|singapore"),
    Rule("kr_rrn", ("6-7",), kr_rrn, r"rrn|주민|korea|resident", strong=True),
    Rule("jp_my_number", ("12", "4 4 4"), jp_my_number, r"my.?number|マイナンバー|個人番号"),
    Rule("th_national", ("1-4-5-2-1", "1 4 5 2 1"), th_national, r"thai|ประชาชน", strong=True),
    Rule("th_national", ("13",), th_national, r"thai|ประชาชน"),
    Rule("my_mykad", ("6-2-4", "12"), my_mykad, r"mykad|nric|kad pengenalan|malaysia"),
    Rule("il_id", ("9",), il_id, r"teudat|זהות|israel"),
    Rule("tr_kimlik", ("11",), tr_kimlik, r"kimlik|tckn|tc ?(?:no|kim)|turk"),
    Rule("za_id", ("6 4 2 1", "6 4 3"), za_id, r"id ?n(?:o|um)|south africa|identity", strong=True),
    Rule("za_id", ("13",), za_id, r"id ?n(?:o|um)|south africa|identity"),
    Rule("ua_rntrc", ("10",), ua_rntrc, r"рнокпп|ідентиф|rntrc|ukrain"),
    Rule("ru_snils", ("3-3-3 2", "3-3-3-2"), ru_snils, r"snils|снилс", strong=True),
    Rule("ru_snils", ("11",), ru_snils, r"snils|снилс"),
    Rule("ru_inn", ("12",), ru_inn, r"inn(?![a-z])|инн"),
    Rule("hr_oib", ("11",), hr_oib, r"oib"),
)  # fmt: skip


@cache
def by_shape() -> dict[str, tuple[Rule, ...]]:
    """The rules for each shape, strong ones first."""
    table: dict[str, list[Rule]] = {}
    for rule in RULES:
        for shape in rule.shapes:
            table.setdefault(shape, []).append(rule)
    return {shape: tuple(sorted(rules, key=lambda rule: not rule.strong)) for shape, rules in table.items()}
