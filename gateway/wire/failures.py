"""Why an upstream gives no answer, or not all of one."""


class UpstreamGone(ConnectionError):
    """The upstream broke off, or sent what is not HTTP."""


class UpstreamSilent(TimeoutError):
    """The upstream was silent for longer than allowed."""


class NothingSent(UpstreamGone):
    """The connection was gone before anything of the request was written: sending again is safe."""
