"""What Airbyte's source connector for Dataverse does, done against the emulator: run by run.sh with the path of `d365map`.

The connector is driven as Airbyte drives it: by its command line, with files for configuration, catalogue and state, and messages on standard
output. The one thing that is changed is the address of the token service, which the connector has built in.
"""

import contextlib
import io
import json
import logging
import os
import sys
import tempfile
import unittest
import warnings

from emulator import Emulator

PROGRAM = sys.argv.pop(1)
ROWS = 23
PAGE = 10
SEED = {
    "dataverse": {
        "tables": {
            "contact": {
                "rows": [
                    {"contactid": f"a0000000-0000-4000-8000-{n:012}", "lastname": f"Person {n}", "birthdate": "1980-02-03", "donotemail": n % 2 == 0}
                    for n in range(ROWS)
                ]
            }
        }
    }
}
EMULATOR = Emulator(PROGRAM, SEED)

from airbyte_cdk.entrypoint import launch  # noqa: E402
from source_microsoft_dataverse import SourceMicrosoftDataverse  # noqa: E402
from source_microsoft_dataverse import dataverse  # noqa: E402

authenticator = dataverse.MicrosoftOauth2Authenticator


class LocalAuthenticator(authenticator):
    """The connector's own, at the emulator's token service."""

    def __init__(self, token_refresh_endpoint, **kwargs):
        local = token_refresh_endpoint.replace("https://login.microsoftonline.com", EMULATOR.url)
        assert local == EMULATOR.dataverse["token_url"], local
        super().__init__(token_refresh_endpoint=local, **kwargs)


dataverse.MicrosoftOauth2Authenticator = LocalAuthenticator
FOLDER = tempfile.TemporaryDirectory()
# Requests to loopback addresses are refused in Airbyte's cloud alone.
os.environ["DEPLOYMENT_MODE"] = "oss"


def config(**changes):
    known = EMULATOR.dataverse
    return {
        "url": EMULATOR.url,
        "tenant_id": known["tenant"],
        "client_id": known["client_id"],
        "client_secret_value": known["client_secret"],
        "odata_maxpagesize": PAGE,
    } | changes


def file(name, content):
    path = os.path.join(FOLDER.name, name)
    with open(path, "w", encoding="utf-8") as out:
        json.dump(content, out)
    return path


def command(*args):
    """The messages that a command of the connector prints."""
    out = io.StringIO()
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(out):
        launch(SourceMicrosoftDataverse(), list(args))
    return [json.loads(line) for line in out.getvalue().splitlines() if line.startswith("{")]


def only(messages, kind):
    return [m for m in messages if m["type"] == kind]


def discovered():
    catalog = only(command("discover", "--config", file("config.json", config())), "CATALOG")[0]["catalog"]
    return {stream["name"]: stream for stream in catalog["streams"]}


def configured(mode):
    stream = discovered()["contact"]
    return {
        "streams": [
            {
                "stream": stream,
                "sync_mode": mode,
                "destination_sync_mode": "append",
                "cursor_field": ["modifiedon"],
                "primary_key": [["contactid"]],
            }
        ]
    }


def read(mode, state=None):
    args = ["read", "--config", file("config.json", config()), "--catalog", file("catalog.json", configured(mode))]
    if state is not None:
        args += ["--state", file("state.json", state)]
    messages = command(*args)
    records = [m["record"]["data"] for m in only(messages, "RECORD")]
    states = [m["state"] for m in only(messages, "STATE")]
    return records, states


class Airbyte(unittest.TestCase):
    def test_spec_says_what_the_connector_needs(self):
        spec = only(command("spec"), "SPEC")[0]["spec"]["connectionSpecification"]
        self.assertEqual(set(spec["required"]), {"url", "tenant_id", "client_id", "client_secret_value"})

    def test_check_succeeds_with_the_right_secret_and_fails_with_another(self):
        status = only(command("check", "--config", file("config.json", config())), "CONNECTION_STATUS")[0]["connectionStatus"]
        self.assertEqual(status["status"], "SUCCEEDED", status)
        wrong = only(command("check", "--config", file("wrong.json", config(client_secret_value="wrong"))), "CONNECTION_STATUS")[0]
        self.assertEqual(wrong["connectionStatus"]["status"], "FAILED")

    def test_discover_finds_tables_with_types_keys_and_change_tracking(self):
        streams = discovered()
        contact = streams["contact"]
        self.assertEqual(contact["source_defined_primary_key"], [["contactid"]])
        self.assertEqual(contact["supported_sync_modes"], ["full_refresh", "incremental"])
        self.assertEqual(contact["default_cursor_field"], ["modifiedon"])
        types = contact["json_schema"]["properties"]
        # The behavior of a date column comes by a batch of one request for each table.
        self.assertEqual(types["birthdate"].get("format"), "date")
        self.assertEqual(types["modifiedon"].get("format"), "date-time")
        self.assertEqual(types["donotemail"]["type"], ["null", "boolean"])
        self.assertEqual(types["creditlimit"]["type"], ["null", "number"])
        self.assertIn("_transactioncurrencyid_value", types)

    def test_read_follows_all_pages(self):
        records, _ = read("full_refresh")
        self.assertEqual(len(records), ROWS)
        self.assertEqual(len({r["contactid"] for r in records}), ROWS)
        self.assertEqual({r["birthdate"] for r in records}, {"1980-02-03"})

    def test_a_second_incremental_read_has_what_changed_and_what_was_deleted(self):
        records, states = read("incremental")
        self.assertGreaterEqual(len(records), ROWS)
        self.assertTrue(states)
        nothing, unchanged = read("incremental", [states[-1]])
        self.assertEqual(nothing, [])
        first, second = sorted(r["contactid"] for r in records)[:2]
        EMULATOR.order("PATCH", f"rows/contact/{first}", {"lastname": "Changed"})
        EMULATOR.order("DELETE", f"rows/contact/{second}")
        EMULATOR.order("POST", "rows/contact", {"lastname": "New", "birthdate": "1980-02-03"})
        changes, later = read("incremental", [unchanged[-1] if unchanged else states[-1]])
        by_id = {r["contactid"]: r for r in changes}
        self.assertEqual(len(changes), 3, changes)
        self.assertEqual(by_id[first]["lastname"], "Changed")
        self.assertIsNotNone(by_id[second].get("_ab_cdc_deleted_at"))
        self.assertIn("New", {r.get("lastname") for r in changes})
        self.assertEqual(read("incremental", [later[-1]])[0], [])


if __name__ == "__main__":
    try:
        unittest.main(warnings="ignore")
    finally:
        EMULATOR.stop()
        FOLDER.cleanup()
