"""pydnsbl as a worker (benchmarks/worker.py): it runs in an environment of its own, with the aiodns that it wants.

{"prepare": KEY, "port": 53, "zones": [...], "addresses": [...]}   asks all zones about each address, all at once
{"time": KEY, "loops": 1, "addresses": [[...], ...]}               one list of fresh addresses for each loop
"""

import asyncio
import json
import sys
import time
import warnings
from importlib.metadata import version

warnings.simplefilter("ignore")  # of the aiodns that it pins

import aiodns  # noqa: E402
import pydnsbl  # noqa: E402
from pydnsbl.providers import Provider  # noqa: E402

CAP = 200


def checker(loop, port, zones):
    """Its checker, set to our server."""
    made = pydnsbl.DNSBLIpChecker(providers=[Provider(zone) for zone in zones], loop=loop, concurrency=CAP)
    made._resolver = aiodns.DNSResolver(
        timeout=5, tries=2, nameservers=["127.0.0.1"], udp_port=port, tcp_port=port, loop=loop
    )
    return made


async def listings(check, addresses):
    results = await asyncio.gather(*map(check.check_async, addresses))
    return sum(len(result.detected_by) for result in results)


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    made = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "version" in request:
                answer = {"result": version("pydnsbl")}
            elif "prepare" in request:
                check, _ = made[request["prepare"]] = checker(loop, request["port"], request["zones"]), None
                answer = {"result": loop.run_until_complete(listings(check, request["addresses"]))}
            else:
                check, _ = made[request["time"]]
                start = time.perf_counter()
                found = [loop.run_until_complete(listings(check, each)) for each in request["addresses"]]
                answer = {"seconds": time.perf_counter() - start, "result": found}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
