"""What the client `dynamics-client` does, done against the emulator: run by run.sh with the path of `d365map`."""

import asyncio
import logging
import sys
import unittest
import uuid
import warnings

from emulator import Emulator

warnings.simplefilter("ignore")
PROGRAM = sys.argv.pop(1)
SEED = {
    "dataverse": {
        "tables": {
            "contact": {"keys": [{"name": "new_byemployee", "columns": ["employeeid"]}]},
            "task": {"new": {"schema": "Task", "label": "Task", "activity": True, "standard": True}},
        }
    }
}
EMULATOR = Emulator(PROGRAM, SEED)

from dynamics import DynamicsClient, ftr  # noqa: E402
from dynamics.client.aio import DynamicsClient as AsyncClient  # noqa: E402
from dynamics.exceptions import AuthenticationFailed, NotFound, OperationNotImplemented, ParseError  # noqa: E402

logging.disable(logging.CRITICAL)


def settings(**changes):
    known = EMULATOR.dataverse
    return {
        "api_url": EMULATOR.api,
        "token_url": known["token_url"],
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
        "scope": [f"{EMULATOR.url}/.default"],
        "cache_token": False,
    } | changes


class Rows(unittest.TestCase):
    def setUp(self):
        self.client = DynamicsClient(**settings())
        self.family = f"Family {uuid.uuid4().hex[:8]}"

    def contacts(self, **options):
        self.client.reset_query()
        self.client.table = "contacts"
        for name, value in options.items():
            setattr(self.client, name, value)
        return self.client

    def person(self, first, **fields):
        return self.contacts().post({"lastname": self.family, "firstname": first} | fields).data

    def test_the_user_is_named(self):
        self.assertTrue(self.client.functions.whoami().data[0]["UserId"])

    def test_a_row_is_created_read_changed_and_deleted(self):
        made = self.person("Ann", birthdate="1990-02-03", donotemail=True)
        self.assertEqual((made["firstname"], made["birthdate"], made["donotemail"]), ("Ann", "1990-02-03", True))
        key = made["contactid"]
        [row] = self.contacts(row_id=key, select=["firstname", "lastname"]).get().data
        self.assertEqual((row["firstname"], row["lastname"]), ("Ann", self.family))
        changed = self.contacts(row_id=key, select=["firstname"]).patch({"firstname": "Bea"}).data
        self.assertEqual(changed["firstname"], "Bea")
        self.assertIsNone(self.contacts(row_id=key).delete())
        with self.assertRaises(NotFound):
            self.contacts(row_id=key).get()

    def test_a_change_of_a_row_that_is_not_there_creates_nothing(self):
        with self.assertRaises(NotFound):
            self.contacts(row_id=str(uuid.uuid4())).patch({"lastname": self.family})
        self.assertEqual(self.contacts(filter=[ftr.eq("lastname", self.family)]).get(not_found_ok=True).data, [])

    def test_a_row_is_addressed_by_an_alternate_key(self):
        self.person("Cid", employeeid="E'17")
        [row] = self.contacts(row_id="employeeid='E''17'", select=["firstname"]).get().data
        self.assertEqual(row["firstname"], "Cid")

    def test_filters_order_count_and_pages(self):
        for n in range(7):
            self.person(f"P{n}", numberofchildren=n, gendercode=1 + n % 2)
        mine = ftr.eq("lastname", self.family)
        some = self.contacts(select=["firstname"], filter=[mine, ftr.or_(ftr.lt("numberofchildren", 1), ftr.ge("numberofchildren", 6))], orderby={"firstname": "desc"}, count=True)
        found = some.get()
        self.assertEqual(([r["firstname"] for r in found.data], found.count), (["P6", "P0"], 2))
        self.assertEqual(len(self.contacts(filter=[mine, ftr.in_("gendercode", [2])]).get().data), 3)
        self.assertEqual(len(self.contacts(filter=[mine, ftr.startswith("firstname", "P"), ftr.not_(ftr.contains("firstname", "3"))]).get().data), 6)
        pages = self.contacts(select=["firstname"], filter=[mine], pagesize=3).get(pagination_rules={"pages": -1})
        self.assertEqual(sorted(r["firstname"] for r in pages.data), [f"P{n}" for n in range(7)])

    def test_rows_are_linked_expanded_and_followed(self):
        self.client.reset_query()
        self.client.table = "accounts"
        account = self.client.post({"name": self.family}).data["accountid"]
        person = self.person("Dan", **{"parentcustomerid_account@odata.bind": f"/accounts({account})"})
        [row] = self.contacts(row_id=person["contactid"], expand={"parentcustomerid_account": {"select": ["name"]}}).get().data
        self.assertEqual(row["parentcustomerid_account"]["name"], self.family)
        [row] = self.contacts(row_id=person["contactid"], pre_expand="parentcustomerid_account", select=["name"]).get().data
        self.assertEqual(row["name"], self.family)
        task = {"subject": "Call", "regardingobjectid_contact_task@odata.bind": f"/contacts({person['contactid']})"}
        self.client.reset_query()
        self.client.table = "tasks"
        self.client.post(task)
        [row] = self.contacts(row_id=person["contactid"], select=["firstname"], expand={"Contact_Tasks": {"select": ["subject"]}}).get().data
        self.assertEqual([t["subject"] for t in row["Contact_Tasks"]], ["Call"])

    def test_a_reference_is_added_to_a_collection(self):
        self.client.reset_query()
        self.client.table = "accounts"
        account = self.client.post({"name": self.family}).data["accountid"]
        person = self.person("Eve")["contactid"]
        self.client.reset_query()
        self.client.table, self.client.row_id, self.client.add_ref_to_property = "accounts", account, "contact_customer_accounts"
        self.client.post({"@odata.id": f"{EMULATOR.api}contacts({person})"})
        [row] = self.contacts(row_id=person, select=["_parentcustomerid_value"]).get().data
        self.assertEqual(row["_parentcustomerid_value"], account)

    def test_labels_come_with_annotations(self):
        person = self.person("Fay", gendercode=2)["contactid"]
        client = self.contacts(row_id=person, select=["gendercode"])
        client.show_annotations = True
        [row] = client.get().data
        self.assertEqual(row["gendercode@OData.Community.Display.V1.FormattedValue"], "Female")

    def test_errors_are_told_apart(self):
        with self.assertRaises(ParseError):
            self.contacts(select=["nosuch"]).get()
        with self.assertRaises(NotFound):
            self.contacts(table="nosuchs").get()
        with self.assertRaises(OperationNotImplemented):
            self.contacts(table="", action="Merge").post({})
        with self.assertRaises(Exception) as caught:
            DynamicsClient(**settings(client_secret="wrong")).functions.whoami()
        self.assertIn("invalid_client", str(caught.exception))


class Async(unittest.TestCase):
    def test_the_same_client_works_without_blocking(self):
        async def work():
            async with AsyncClient(**settings()) as client:
                client.table = "contacts"
                made = await client.post({"lastname": "Async"})
                client.row_id = made.data["contactid"]
                await client.patch({"firstname": "A"})
                rows = (await client.get()).data
                await client.delete()
                return rows

        [row] = asyncio.run(work())
        self.assertEqual((row["firstname"], row["lastname"]), ("A", "Async"))


if __name__ == "__main__":
    try:
        unittest.main(warnings="ignore")
    finally:
        EMULATOR.stop()
