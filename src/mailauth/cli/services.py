"""What ``mailauth policyd``, ``mailauth milter`` and ``mailauth serve`` share: a configuration file, served."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys

from mailauth import MailAuthError
from mailauth.cli.common import EXIT_OK, EXIT_USAGE, UsageError
from mailauth.config import Config, ConfigError, load
from mailauth.service.application import Application, Kind, addresses
from mailauth.service.listeners import Listeners
from mailauth.service.logs import log_beside_a_connection, log_to
from mailauth.service.metrics import Metrics
from mailauth.service.notify import Notifier
from mailauth.service.running import allow_many_connections, block_reload, once, serve
from mailauth.service.workers import supervise

EPILOG = f"""\
SIGTERM ends it when what is in hand is done; SIGHUP reads the file again.
exit status: {EXIT_OK} a signal ended it, 1 a worker process failed,
2 the file has mistakes or a socket cannot be had"""


def configure_service(parser: argparse.ArgumentParser, *kinds: Kind) -> None:
    """Add the options of a service; `kinds` are those that it serves."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--config", metavar="FILE", required=True, help="the configuration file (TOML)")
    parser.set_defaults(run=_run, kinds=kinds, once=False)


def _run(options: argparse.Namespace) -> int:
    if options.once:
        return _once(options.config, options.kinds)
    block_reload()
    config = _load(options.config)
    try:
        return _serve(options.config, config, options.kinds)
    except OSError as error:
        raise UsageError(str(error) if error.filename else error.strerror or str(error)) from None
    except (MailAuthError, ValueError) as error:
        raise UsageError(str(error)) from None
    finally:
        _end_log()


def _once(path: str, kinds: tuple[Kind, ...]) -> int:
    # Before the file is read: what is wrong with it must not be said to Postfix.
    log_beside_a_connection()
    try:
        # It listens nowhere, whatever the file says.
        asyncio.run(once(Application(path, load(path), kinds, listen=dict.fromkeys(kinds, ()))))
    except (MailAuthError, ValueError, OSError) as error:
        logging.getLogger("mailauth.service").error("cannot serve: %s", error)
        return EXIT_USAGE
    return EXIT_OK


def _end_log() -> None:
    """Give up what a full disk did not take: at the end of the process it would be an error, and the exit status."""
    try:
        sys.stderr.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)


def _load(path: str) -> Config:
    try:
        return load(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except ConfigError as error:
        *first, last = [str(mistake) for mistake in error.mistakes]
        for mistake in first:
            print(mistake, file=sys.stderr)
        raise UsageError(last) from None


def _serve(path: str, config: Config, kinds: tuple[Kind, ...]) -> int:
    named = addresses(config, kinds)
    if not named:
        keys = {
            "policyd": "policyd.listen or srs.listen",
            "milter": "milter.listen, milter.listen_verify or milter.listen_sign",
        }
        raise UsageError(f"{path}: nothing to serve: set {' or '.join(keys[kind] for kind in kinds)}")
    service = config.service
    allow_many_connections()
    listeners = Listeners([*sum(named.values(), ()), *filter(None, [service.metrics])], service)
    notifier = Notifier()
    log_to(sys.stderr, service.log)
    try:
        if service.workers > 1:
            return supervise(path, config, kinds, listeners, notifier)
        metrics = None if service.metrics is None else Metrics()
        asyncio.run(serve(Application(path, config, kinds, metrics), listeners, metrics=metrics, notifier=notifier))
        return EXIT_OK
    finally:
        listeners.close()
