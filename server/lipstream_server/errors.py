"""The server room's family of errors: what was expected, what came, what to do."""


class MediaError(ValueError):
    """A picture, a sound or a video cannot be read or written like this.

    `exit_code` is what the command line ends with after it has printed the message as one line; see
    lipstream_client/cli.py.
    """

    exit_code = 2
