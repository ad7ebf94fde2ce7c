"""Exceptions: what nobody expected. Refusals are values (`app.domain.outcomes`), never exceptions."""


class SellableError(Exception):
    """The root of all our exceptions; its message is one sentence for a person."""


class ConfigurationError(SellableError):
    """The settings, or the servers they name, would break a promise: refuse to start."""


class UnavailableError(SellableError):
    """A server that is needed for this step cannot be reached."""


class RefusedError(UnavailableError):
    """A server that is needed answers and refuses us: a person has to do something about it."""


class LedgerBehindError(UnavailableError):
    """The ledger answers, but does not have yet what this step needs."""


class NotReadyError(SellableError):
    """The hot store's memory was not checked yet: nothing was changed, try again soon."""


class OutcomeUnknownError(SellableError):
    """The hot store did not answer in time: the command may have happened; repeat it with the same id."""


class HotStoreFullError(SellableError):
    """The hot store's memory is full: new obligations are refused, nothing was changed."""


class FencedError(SellableError):
    """Another recovery took over: this one must stop."""


class NewerSchemaError(SellableError):
    """An event was written by newer code than this: leave it to a newer worker."""
