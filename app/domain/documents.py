"""A physical document counts once, whoever reports it: what is booked is a pure function of the reporters' sums.

A document is a shipment, a receipt, a return or an adjustment. Documents that are compared with each other are kept
together, as a family: the shipments of one lock, say. Of a family each SKU has a `Sums`: what each reporter said of
each document in each warehouse, and what of that is booked. `lua/shared/documents.lua` is the same in Lua.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ROUTE = "route"
"""The reporter that our own routes are."""
Units = tuple[int, int, int]
"""Units that are good, damaged, and lost on the way. Of an adjustment each has its sign; of a shipment all are good."""
NO_UNITS: Units = (0, 0, 0)
Places = dict[str, int]
"""Units by warehouse."""


class Claim(NamedTuple):
    """What one reporter said in all of one document in one warehouse."""

    document: str
    warehouse: str
    reporter: str
    units: Units


class Booked(NamedTuple):
    """What is booked; `document` is '' where documents share what is booked (shipments)."""

    document: str
    warehouse: str
    units: Units


class Assumed(NamedTuple):
    """Units that were booked at `at` (ms) since nobody had said when they moved; `state` counts in `Units`."""

    document: str
    warehouse: str
    state: int
    units: int
    at: int


@dataclass(slots=True)
class Sums:
    """One SKU of a family. Claims are in the order in which they were first heard.

    `lead` is the reporter whose word a person has taken, '' for none. `beyond` are units that were shipped although
    nothing was promised for them.
    """

    claims: list[Claim] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    assumed: list[Assumed] = field(default_factory=list)
    lead: str = ""
    beyond: int = 0

    def claim(self, document: str, warehouse: str, reporter: str, units: Units) -> None:
        """Add what a reporter says to what it has said before."""
        for index, known in enumerate(self.claims):
            if known[:3] == (document, warehouse, reporter):
                self.claims[index] = known._replace(units=added(known.units, units))
                return
        if units != NO_UNITS:
            self.claims.append(Claim(document, warehouse, reporter, units))

    def said(self, document: str | None, reporter: str, warehouse: str | None = None) -> Units:
        """Return what a reporter said of a document (None: of all) in all warehouses, or one."""
        return _sum(
            claim.units
            for claim in self.claims
            if claim.reporter == reporter
            and document in {None, claim.document}
            and warehouse in {None, claim.warehouse}
        )

    def reporters(self, document: str | None = None) -> set[str]:
        """Return who said something of a document, or of any."""
        return {claim.reporter for claim in self.claims if document in {None, claim.document}}

    def greatest_of_others(self, document: str, reporter: str) -> dict[str, int]:
        """Return the greatest that others say has been shipped in a document, by warehouse; nothing if none does."""
        said: dict[str, Places] = {}
        for claim in self.claims:
            if claim.document == document and claim.reporter != reporter:
                places = said.setdefault(claim.reporter, {})
                places[claim.warehouse] = places.get(claim.warehouse, 0) + claim.units[0]
        return _greatest(said, self.lead) if said else {}

    def take_assumed(self, document: str, warehouse: str, state: int, units: int) -> list[tuple[int, int]]:
        """Take units of an assumed time out: (units, that time) each."""
        kept, found = [], []
        for one in self.assumed:
            some = min(units, one.units) if one[:3] == (document, warehouse, state) else 0
            if some:
                found.append((some, one.at))
                units -= some
            if one.units > some:
                kept.append(one._replace(units=one.units - some))
        self.assumed = kept
        return found

    def booked_of(self, document: str, warehouse: str) -> Units:
        """Return what is booked of a document in a warehouse."""
        return _sum(one.units for one in self.booked if one[:2] == (document, warehouse))

    def assume(self, document: str, warehouse: str, state: int, units: int, at: int) -> None:
        """Note units that were booked at `at` because nobody had said when they moved."""
        self.assumed.append(Assumed(document, warehouse, state, units, at))

    def as_json(self) -> list[Any]:
        """Return it as the hot store and the ledger keep it."""
        return [
            [[*claim[:3], *claim.units] for claim in self.claims],
            [[*one[:2], *one.units] for one in self.booked],
            [list(one) for one in self.assumed],
            self.lead,
            self.beyond,
        ]

    @classmethod
    def of_json(cls, value: Sequence[Any]) -> "Sums":
        """Read it again."""
        claims, booked, assumed, lead, beyond = value
        return cls(
            [Claim(claim[0], claim[1], claim[2], _units(claim[3:])) for claim in claims],
            [Booked(one[0], one[1], _units(one[2:])) for one in booked],
            [Assumed(*one) for one in assumed],
            lead,
            beyond,
        )


def added(left: Units, right: Units) -> Units:
    """Return both together."""
    return left[0] + right[0], left[1] + right[1], left[2] + right[2]


def taken(left: Units, right: Units) -> Units:
    """Return what is left of the first without the second."""
    return left[0] - right[0], left[1] - right[1], left[2] - right[2]


def _units(numbers: Sequence[int]) -> Units:
    return numbers[0], numbers[1], numbers[2]


def _sum(units: Iterable[Units]) -> Units:
    total = NO_UNITS
    for one in units:
        total = added(total, one)
    return total


def is_part(units: Units, whole: Units) -> bool:
    """Whether the first says nothing that the second does not say too, state by state."""
    return all((0 <= one <= other) or (0 >= one >= other) for one, other in zip(units, whole, strict=True))


# What comes in, and adjustments


def booked_of_arrivals(claims: Sequence[Claim], lead: str) -> list[Booked]:
    """Return what is to be booked of what came in, and of adjustments: line by line, one reporter's word."""
    lines: dict[tuple[str, str], list[tuple[str, Units]]] = {}
    for claim in claims:
        lines.setdefault(claim[:2], []).append((claim.reporter, claim.units))
    chosen = [(*line, _chosen(_led(said, lead))) for line, said in lines.items()]
    return [Booked(*one) for one in chosen if one[2] != NO_UNITS]


def _led(said: Sequence[tuple[str, Units]], lead: str) -> list[Units]:
    """Return what the reporters say, the one that leads first."""
    return [units for name, units in said if name == lead] + [units for name, units in said if name != lead]


def _chosen(said: Sequence[Units]) -> Units:
    """Return the first reporter's sum, unless one says that units left: then the one of which the most did."""
    leaving = [units for units in said if sum(units) < 0 and not _is_part_of_another(units, said)]
    return min(leaving, key=sum) if leaving else said[0]


def _is_part_of_another(units: Units, said: Sequence[Units]) -> bool:
    return any(other != units and is_part(units, other) for other in said)


# What goes out


def booked_of_shipments(claims: Sequence[Claim], lead: str, promised: int) -> list[Booked]:
    """Return what is to be booked of shipments: of each document the greatest sum that a reporter says of it.

    Where that is more than was promised, the same goods may have been reported under several names. Then the reporter
    that has shipped the most in all is believed if that is as much as was promised; else that much has left.
    """
    documents: dict[str, dict[str, Places]] = {}
    for document, warehouse, reporter, units in claims:
        places = documents.setdefault(document, {}).setdefault(reporter, {})
        places[warehouse] = places.get(warehouse, 0) + units[0]
    greatest = [_greatest(said, lead) for said in documents.values()]
    total = sum(sum(places.values()) for places in greatest)
    if total > promised:
        reporters: dict[str, Places] = {}
        for _, warehouse, reporter, units in claims:
            places = reporters.setdefault(reporter, {})
            places[warehouse] = places.get(warehouse, 0) + units[0]
        most = _greatest(reporters, lead)
        greatest = [most] if sum(most.values()) >= promised else _up_to(greatest, promised)
    sums = dict.fromkeys((claim.warehouse for claim in claims), 0)
    for places in greatest:
        for warehouse, units_there in places.items():
            sums[warehouse] += units_there
    return [
        Booked("", warehouse, (units_there, 0, 0)) for warehouse, units_there in sums.items() if units_there
    ]


def _greatest(said: Mapping[str, Places], lead: str) -> Places:
    """Return the greatest sum; of equal ones that of the reporter that leads, or was first."""
    names = sorted(said, key=lambda name: name != lead)
    return said[max(names, key=lambda name: sum(said[name].values()))]


def _up_to(documents: Sequence[Places], units_max: int) -> list[Places]:
    """Return the first so many units of some documents."""
    found: list[Places] = []
    for places in documents:
        kept: Places = {}
        for warehouse, units in places.items():
            kept[warehouse] = min(units, units_max)
            units_max -= kept[warehouse]
        found.append(kept)
    return found


# What is to change


def rebook(sums: Sums, booked: Sequence[Booked]) -> list[Booked]:
    """Set what is booked, and return by how much that differs from before; what becomes less comes first."""
    before, sums.booked = sums.booked, list(booked)
    places = dict.fromkeys(one[:2] for one in (*before, *booked))
    was = {one[:2]: one.units for one in before}
    changes = [Booked(*place, taken(sums.booked_of(*place), was.get(place, NO_UNITS))) for place in places]
    changes = [change for change in changes if change.units != NO_UNITS]
    return sorted(changes, key=lambda change: sum(change.units) >= 0)


# What reporters disagree on


def is_accounted_for(sums: Sums, document: str, warehouse: str, reporter: str, *, shipped: bool) -> bool:
    """Whether all that a reporter says of a document there is booked, by whoever's word."""
    said = sums.said(None if shipped else document, reporter, warehouse)
    booked = sums.booked_of("" if shipped else document, warehouse)
    return is_part(said, booked) if min(*said, *booked) < 0 else sum(said) <= sum(booked)


def claims_of(sums: Sums) -> list[Any]:
    """Return what was said, as JSON: a person's decision holds while nobody says more."""
    claims: list[Any] = sums.as_json()[0]
    return claims


def differences(family: str, sums: Mapping[str, Sums]) -> dict[str, str]:
    """Return the SKUs of a family of which its reporters say different things, and what differs.

    `units`; `condition`: as many units in another one; `place`: as many from another warehouse; `line`: only some of
    those who report the document name it.
    """
    shipped = family.partition(":")[0] in {"deduct", "transfer_ship"}
    reporters: dict[str, set[str]] = {}
    for said in sums.values():
        for claim in said.claims:
            reporters.setdefault(claim.document, set()).add(claim.reporter)
    found = {}
    for sku, said in sums.items():
        differs = _shipment_difference(said, reporters) if shipped else _difference(said, reporters)
        if differs:
            found[sku] = differs
    return found


def _difference(sums: Sums, reporters: Mapping[str, set[str]]) -> str:
    """Return what differs of a SKU, line by line."""
    lines: dict[tuple[str, str], dict[str, Units]] = {}
    for claim in sums.claims:
        lines.setdefault(claim[:2], {})[claim.reporter] = claim.units
    for (document, _), said in lines.items():
        if said.keys() != reporters[document]:
            return "line"
        if len({sum(units) for units in said.values()}) > 1:
            return "units"
        if len(set(said.values())) > 1:
            return "condition"
    told = {claim.document for claim in sums.claims}
    return "line" if any(sums.reporters(one) != reporters[one] for one in told) else ""


def _shipment_difference(sums: Sums, reporters: Mapping[str, set[str]]) -> str:
    """Return what differs of a SKU: document by document, and in all where the same goods have several names."""
    told = dict.fromkeys(claim.document for claim in sums.claims)
    for document in told:
        if differs := _places_difference(sums, document, reporters[document]):
            return differs
    greatest = sum(sum(_greatest_said(sums, document).values()) for document in told)
    if greatest <= sum(one.units[0] for one in sums.booked):
        return ""
    return _places_difference(sums, None, sums.reporters())


def _greatest_said(sums: Sums, document: str) -> Places:
    return sums.greatest_of_others(document, "")


def _places_difference(sums: Sums, document: str | None, reporters: set[str]) -> str:
    said: dict[str, Places] = {name: {} for name in reporters}
    for claim in sums.claims:
        if document in {None, claim.document} and claim.units[0]:
            places = said[claim.reporter]
            places[claim.warehouse] = places.get(claim.warehouse, 0) + claim.units[0]
    if any(not places for places in said.values()) and any(said.values()):
        return "line"
    if len({sum(places.values()) for places in said.values()}) > 1:
        return "units"
    return "place" if len({tuple(sorted(places.items())) for places in said.values()}) > 1 else ""


def other_word(family: str, sums: Sums) -> str:
    """Return the reporter whose word would change what is booked, if a person takes it; '' if nobody's would.

    Of what goes out, and of what comes in, that is one that says at least as much as is booked.
    """
    kind = family.partition(":")[0]
    signed, shipped = kind == "adjustment", kind in {"deduct", "transfer_ship"}
    booked: dict[tuple[str, str], Units] = {one[:2]: one.units for one in sums.booked}
    total = sum(sum(units) for units in booked.values())
    for reporter in dict.fromkeys(claim.reporter for claim in reversed(sums.claims)):
        said: dict[tuple[str, str], Units] = {}
        for claim in sums.claims:
            if claim.reporter == reporter:
                place = ("" if shipped else claim.document, claim.warehouse)
                said[place] = added(said.get(place, NO_UNITS), claim.units)
        differs = (
            said != booked
            if shipped
            else any(booked.get(one, NO_UNITS) != units for one, units in said.items())
        )
        named = total if shipped else sum(sum(booked.get(place, NO_UNITS)) for place in said)
        if differs and (signed or sum(sum(units) for units in said.values()) >= named):
            return reporter
    return ""
