"""What the client `dataverse-api` does, done against the emulator: run by run.sh with the path of `d365map`."""

import datetime
import logging
import sys
import unittest
import uuid

import requests

from emulator import Emulator

PROGRAM = sys.argv.pop(1)
SEED = {
    "dataverse": {
        "tables": {
            "contact": {"keys": [{"name": "new_byemployee", "columns": ["employeeid"]}]},
        }
    }
}
EMULATOR = Emulator(PROGRAM, SEED)

from dataverse_api import DataverseClient  # noqa: E402
from dataverse_api.errors import DataverseAPIError  # noqa: E402
from dataverse_api.metadata.attributes import StringAttributeMetadata  # noqa: E402
from dataverse_api.metadata.entity import define_entity  # noqa: E402
from dataverse_api.metadata.enums import OwnershipType  # noqa: E402
from dataverse_api.utils.labels import define_label  # noqa: E402

logging.disable(logging.CRITICAL)


def session():
    known = EMULATOR.dataverse
    form = {
        "grant_type": "client_credentials",
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
        "scope": f"{EMULATOR.url}/.default",
    }
    answer = requests.post(known["token_url"], data=form, timeout=10)
    answer.raise_for_status()
    made = requests.Session()
    made.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    return made


CLIENT = DataverseClient(session(), EMULATOR.url)


class Entity(unittest.TestCase):
    def setUp(self):
        self.contacts = CLIENT.entity("contact")
        self.family = f"Family {uuid.uuid4().hex[:8]}"
        self.filter = f"lastname eq '{self.family}'"

    def people(self, count):
        return [{"lastname": self.family, "firstname": f"P{n}", "employeeid": f"{self.family}-{n}"} for n in range(count)]

    def read(self, *columns):
        return self.contacts.read(select=["contactid", *columns], filter=self.filter)

    def test_the_definition_names_set_key_alternate_keys_messages_and_relationships(self):
        self.assertEqual((self.contacts.entity_set_name, self.contacts.primary_id_attr), ("contacts", "contactid"))
        self.assertEqual(self.contacts.alternate_keys["new_byemployee"], ["employeeid"])
        self.assertTrue(self.contacts.supports_create_multiple and self.contacts.supports_update_multiple)
        self.contacts.update_schema("all")
        self.assertTrue(self.contacts.relationships.single_valued)

    def test_records_are_created_one_by_one_in_a_batch_and_by_a_bulk_message(self):
        people = self.people(7)
        single = self.contacts.create(people[:2], mode="individual", return_created=True)
        self.assertEqual([r.json()["firstname"] for r in single], ["P0", "P1"])
        for answer in self.contacts.create(people[2:4], mode="batch"):
            self.assertEqual(answer.status_code, 200)
            self.assertEqual(answer.text.count("HTTP/1.1 204"), 2, answer.text)
        self.contacts.create(people[4:], mode="multiple")
        self.assertEqual(sorted(r["firstname"] for r in self.read("firstname")), [f"P{n}" for n in range(7)])

    def test_a_read_follows_pages_and_takes_order_top_and_formatted_values(self):
        self.contacts.create([p | {"gendercode": 2} for p in self.people(25)], mode="multiple")
        pages = self.contacts.read(select=["firstname"], filter=self.filter, page_size=10, return_responses=True)
        self.assertEqual([len(p.json()["value"]) for p in pages], [10, 10, 5])
        top = self.contacts.read(select=["firstname"], filter=self.filter, order_by="firstname desc", top=1)
        self.assertEqual([r["firstname"] for r in top], ["P9"])
        shown = self.contacts.read(select=["gendercode"], filter=self.filter, top=1, return_formatted_values=True)
        self.assertEqual(shown[0]["gendercode@OData.Community.Display.V1.FormattedValue"], "Female")

    def test_records_are_upserted_by_id_and_by_an_alternate_key(self):
        key = str(uuid.uuid4())
        self.contacts.upsert([{"contactid": key, "lastname": self.family, "firstname": "A"}])
        self.contacts.upsert([{"contactid": key, "firstname": "B", "birthdate": datetime.date(1990, 2, 3)}])
        self.assertEqual([(r["firstname"], r["birthdate"]) for r in self.read("firstname", "birthdate")], [("B", "1990-02-03")])
        people = self.people(3)
        self.contacts.upsert(people[:2], altkey_name="new_byemployee")
        for answer in self.contacts.upsert([p | {"firstname": "Q"} for p in people], mode="batch", altkey_name="new_byemployee"):
            self.assertEqual(answer.status_code, 200)
        self.assertEqual(sorted(r["firstname"] for r in self.read("firstname")), ["B", "Q", "Q", "Q"])

    def test_columns_are_emptied_and_records_deleted(self):
        self.contacts.create([p | {"jobtitle": "Baker"} for p in self.people(4)], mode="multiple")
        ids = sorted(r["contactid"] for r in self.read())
        self.contacts.delete_columns(["jobtitle"], ids=ids[:1])
        self.contacts.delete_columns(["jobtitle"], ids=ids[1:2], mode="batch")
        self.assertEqual(sum(r["jobtitle"] is None for r in self.read("jobtitle")), 2)
        self.contacts.delete(ids=ids[:1])
        self.contacts.delete(ids=ids[1:3], mode="batch")
        self.assertEqual([r["contactid"] for r in self.read()], ids[3:])
        self.contacts.delete(filter=self.filter)
        self.assertEqual(self.read(), [])

    def test_a_refused_request_is_an_error_with_the_service_s_message(self):
        with self.assertRaises(DataverseAPIError) as caught:
            self.contacts.read(select=["nosuch"])
        self.assertIn("nosuch", str(caught.exception))
        [answer] = self.contacts.create([{"lastname": self.family, "birthdate": "1752-12-31"}])
        self.assertEqual((answer.status_code, answer.json()["error"]["code"]), (400, "0x80040239"))
        [answer] = self.contacts.delete(ids=[str(uuid.uuid4())])
        self.assertEqual(answer.status_code, 404)


class Definitions(unittest.TestCase):
    def test_a_table_is_made_read_changed_and_removed(self):
        name = StringAttributeMetadata(schema_name="new_Title", max_length=80, display_name=define_label("Title"), is_primary=True)
        table = define_entity("new_Booklet", attributes=[name], display_name="Booklet", ownership_type=OwnershipType.USER_OWNED)
        CLIENT.create_entity(table)
        definition = CLIENT.get_entity_definition("new_booklet")
        self.assertEqual(definition.schema_name, "new_Booklet")
        definition.display_name = define_label("Small book")
        CLIENT.update_entity(definition)
        booklets = CLIENT.entity("new_booklet")
        booklets.add_attribute(StringAttributeMetadata(schema_name="new_Author", max_length=50, display_name=define_label("Author")))
        booklets.create([{"new_title": "One", "new_author": "A"}])
        self.assertEqual([r["new_author"] for r in booklets.read(select=["new_author"])], ["A"])
        booklets.remove_attribute(logical_name="new_author")
        with self.assertRaises(DataverseAPIError):
            booklets.read(select=["new_author"])
        CLIENT.delete_entity("new_booklet")
        with self.assertRaises(DataverseAPIError):
            CLIENT.get_entity_definition("new_booklet")


if __name__ == "__main__":
    try:
        unittest.main()
    finally:
        EMULATOR.stop()
