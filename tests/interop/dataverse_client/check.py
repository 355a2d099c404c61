"""What Microsoft's client does, done against the emulator: run by run.sh with the path of `d365map`."""

import enum
import os
import sys
import tempfile
import unittest
import uuid

import front
from emulator import Emulator

PROGRAM = sys.argv.pop(1)
FOLDER = tempfile.TemporaryDirectory()
TLS_CERTIFICATE, TLS_KEY, CLIENT_CERTIFICATE, CLIENT_PEM = (
    os.path.join(FOLDER.name, name) for name in ("tls.pem", "tls.key", "client.pem", "client-with-key.pem")
)


def write(path, *texts):
    with open(path, "wb") as file:
        file.writelines(texts)


TLS = front.make_certificate("localhost")
CLIENT = front.make_certificate("interop-client")
write(TLS_CERTIFICATE, TLS[0])
write(TLS_KEY, TLS[1])
write(CLIENT_CERTIFICATE, CLIENT[0])
write(CLIENT_PEM, CLIENT[1], CLIENT[0])
# Trust in this process alone, and before the libraries are loaded.
os.environ["REQUESTS_CA_BUNDLE"] = TLS_CERTIFICATE
os.environ["SSL_CERT_FILE"] = TLS_CERTIFICATE

import msal  # noqa: E402
from azure.core.exceptions import ClientAuthenticationError  # noqa: E402
from azure.identity import CertificateCredential, ClientSecretCredential  # noqa: E402
from PowerPlatform.Dataverse.client import DataverseClient  # noqa: E402
from PowerPlatform.Dataverse.core.errors import HttpError, MetadataError  # noqa: E402
from PowerPlatform.Dataverse.models.filters import col  # noqa: E402
from PowerPlatform.Dataverse.models.upsert import UpsertItem  # noqa: E402

SEED = {
    "dataverse": {
        "tables": {
            "contact": {
                "columns": [
                    {"name": "new_score", "schema": "new_Score", "type": "Integer", "label": "Score", "min": 0, "max": 100},
                ],
                "keys": [
                    {"name": "new_byemployee", "columns": ["employeeid"]},
                    {"name": "new_byidentifier", "columns": ["externaluseridentifier", "new_score"]},
                ],
            },
        }
    }
}


class Secured(Emulator):
    """The emulator behind TLS, which Microsoft's client insists on; it knows one certificate of a client."""

    def __init__(self):
        self.front = front.Front(TLS_CERTIFICATE, TLS_KEY)
        address = f"https://localhost:{self.front.port}"
        options = ["--page-cap", "50", "--dataverse-public-url", address, "--certificate", CLIENT_CERTIFICATE]
        super().__init__(PROGRAM, SEED, *options)
        assert self.url == address, self.dataverse
        self.front.forward_to(int(self.dataverse["listen"].rsplit(":", 1)[1]))

    def stop(self):
        super().stop()
        self.front.close()


EMULATOR = Secured()


def secret_credential(**changes):
    known = EMULATOR.dataverse
    fields = {
        "tenant_id": known["tenant"],
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
        "authority": EMULATOR.url,
        "disable_instance_discovery": True,
    }
    return ClientSecretCredential(**(fields | changes))


def certificate_credential():
    known = EMULATOR.dataverse
    return CertificateCredential(
        tenant_id=known["tenant"],
        client_id=known["client_id"],
        certificate_path=CLIENT_PEM,
        authority=EMULATOR.url,
        disable_instance_discovery=True,
    )


SCOPE = f"{EMULATOR.url}/.default"


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = DataverseClient(EMULATOR.url, secret_credential())

    @classmethod
    def tearDownClass(cls):
        cls.client.close()

    def setUp(self):
        rows = EMULATOR.dump("contact")
        if rows:
            self.client.records.delete("contact", [row["contactid"] for row in rows])
        self.assertEqual(EMULATOR.dump("contact"), [])


class Tokens(unittest.TestCase):
    def test_a_secret_gets_a_token_and_a_wrong_one_is_refused_by_its_code(self):
        self.assertTrue(secret_credential().get_token(SCOPE).token)
        with self.assertRaisesRegex(ClientAuthenticationError, "AADSTS7000215"):
            secret_credential(client_secret="wrong").get_token(SCOPE)
        with self.assertRaisesRegex(ClientAuthenticationError, "AADSTS700016"):
            secret_credential(client_id=str(uuid.uuid4())).get_token(SCOPE)

    def test_a_certificate_of_azure_identity_gets_a_token_that_the_api_takes(self):
        with DataverseClient(EMULATOR.url, certificate_credential()) as client:
            self.assertTrue(client.tables.get("contact"))

    def test_an_assertion_of_msal_by_sha256_gets_a_token(self):
        known = EMULATOR.dataverse
        application = msal.ConfidentialClientApplication(
            known["client_id"],
            authority=f"{EMULATOR.url}/{known['tenant']}",
            client_credential={"private_key": CLIENT[1].decode(), "public_certificate": CLIENT[0].decode()},
            instance_discovery=False,
        )
        answer = application.acquire_token_for_client([SCOPE])
        self.assertIn("access_token", answer, answer)

    def test_a_certificate_that_is_not_registered_is_refused(self):
        EMULATOR.order("POST", "setup", {"certificates": []})
        try:
            with self.assertRaisesRegex(ClientAuthenticationError, "AADSTS700027"):
                certificate_credential().get_token(SCOPE)
        finally:
            EMULATOR.order("POST", "setup", {"certificates": [CLIENT[0].decode()]})


class Records(Case):
    def test_create_retrieve_update_delete(self):
        made = self.client.records.create("contact", {"FirstName": "Zoë", "lastname": "O'Brien", "gendercode": "Female", "birthdate": "1980-10-24"})
        row = self.client.records.retrieve("contact", made, select=["firstname", "lastname", "gendercode", "birthdate"])
        self.assertEqual((row["firstname"], row["lastname"], row["gendercode"], row["birthdate"]), ("Zoë", "O'Brien", 2, "1980-10-24"))
        self.client.records.update("contact", made, {"lastname": "Müller"})
        self.assertEqual(self.client.records.retrieve("contact", made)["lastname"], "Müller")
        self.client.records.delete("contact", made)
        self.assertIsNone(self.client.records.retrieve("contact", made))
        with self.assertRaises(HttpError) as caught:
            self.client.records.update("contact", made, {"lastname": "x"})
        self.assertEqual(caught.exception.status_code, 404)

    def test_annotations_and_expanded_rows(self):
        account = self.client.records.create("account", {"name": "Adatum"})
        made = self.client.records.create("contact", {"lastname": "A", "parentcustomerid_account@odata.bind": f"/accounts({account})"})
        row = self.client.records.retrieve(
            "contact", made, select=["lastname", "statecode"], expand=["parentcustomerid_account($select=name)"], include_annotations="*"
        )
        self.assertEqual(row["parentcustomerid_account"]["name"], "Adatum")
        self.assertEqual(row["statecode@OData.Community.Display.V1.FormattedValue"], "Active")
        bind = self.client.query.odata_bind("contact", "transactioncurrency", str(uuid.uuid4()))
        self.assertEqual([key.split("@")[0] for key in bind], ["transactioncurrencyid"])
        with self.assertRaisesRegex(HttpError, "undeclared property"):
            self.client.records.create("contact", {"ParentCustomerId_account@odata.bind": f"/accounts({account})"})

    def test_bulk_create_update_and_delete(self):
        ids = self.client.records.create("contact", [{"lastname": f"Row {n}"} for n in range(120)])
        self.assertEqual((len(ids), len(set(ids))), (120, 120))
        self.client.records.update("contact", ids[:60], {"jobtitle": "Engineer"})
        self.client.records.update("contact", ids[60:62], [{"jobtitle": "A"}, {"jobtitle": "B"}])
        titles = {row["contactid"]: row.get("jobtitle") for row in EMULATOR.dump("contact")}
        self.assertEqual([titles[ids[0]], titles[ids[59]], titles[ids[60]], titles[ids[61]], titles[ids[62]]], ["Engineer", "Engineer", "A", "B", None])
        self.assertTrue(self.client.records.delete("contact", ids))
        self.assertEqual(EMULATOR.dump("contact"), [])

    def test_a_bulk_create_with_a_bad_row_leaves_nothing(self):
        with self.assertRaisesRegex(HttpError, "exceeded the maximum allowed length of '50'"):
            self.client.records.create("contact", [{"lastname": "good"}, {"lastname": "x" * 51}])
        self.assertEqual(EMULATOR.dump("contact"), [])

    def test_query_with_paging_order_and_filter(self):
        self.client.records.create("contact", [{"lastname": f"Row {n:03}", "new_score": n % 7} for n in range(110)])
        pages = list(self.client.records.list_pages("contact", select=["lastname"], orderby=["lastname desc"], page_size=25))
        self.assertEqual([len(list(page)) for page in pages], [25, 25, 25, 25, 10])
        names = [row["lastname"] for page in pages for row in page]
        self.assertEqual(names, sorted(names, reverse=True))
        # Without a page size of its own, the server's cap of 50 rules.
        self.assertEqual(len(list(self.client.records.list("contact", select=["lastname"]))), 110)
        some = self.client.records.list("contact", filter="new_score eq 3 and contains(lastname,'row 0')", select=["lastname", "new_score"])
        self.assertTrue(some and all(row["new_score"] == 3 for row in some))
        self.assertEqual(len(list(self.client.records.list("contact", select=["lastname"], top=4))), 4)
        built = self.client.records.list("contact", filter=col("new_score").in_([1, 2]), select=["new_score"])
        self.assertEqual({row["new_score"] for row in built}, {1, 2})
        between = self.client.records.list("contact", filter=col("new_score").between(5, 6), select=["new_score"])
        self.assertEqual({row["new_score"] for row in between}, {5, 6})

    def test_upsert_by_alternate_key_single_and_multiple(self):
        self.client.records.upsert("contact", [UpsertItem(alternate_key={"employeeid": "E-1"}, record={"lastname": "created"})])
        self.client.records.upsert("contact", [UpsertItem(alternate_key={"employeeid": "E-1"}, record={"lastname": "updated"})])
        self.assertEqual([(row["employeeid"], row["lastname"]) for row in EMULATOR.dump("contact")], [("E-1", "updated")])
        items = [UpsertItem(alternate_key={"employeeid": f"E-{n}"}, record={"lastname": f"many {n}"}) for n in range(1, 6)]
        self.client.records.upsert("contact", items)
        rows = {row["employeeid"]: row["lastname"] for row in EMULATOR.dump("contact")}
        self.assertEqual(rows, {f"E-{n}": f"many {n}" for n in range(1, 6)})
        self.client.records.upsert("contact", [UpsertItem(alternate_key={"externaluseridentifier": "x'y", "new_score": 7}, record={"lastname": "two parts"})])
        self.assertEqual(len(EMULATOR.dump("contact")), 6)

    def test_throttling_is_told_with_its_wait(self):
        EMULATOR.order("POST", "fail-next", {"api": "dataverse", "kind": "throttle", "code": "0x80072322", "retry_after": 17})
        with self.assertRaises(HttpError) as caught:
            self.client.records.create("contact", {"lastname": "A"})
        error = caught.exception
        self.assertEqual((error.status_code, error.details.get("service_error_code"), error.details.get("retry_after")), (429, "0x80072322", 17))


class Batches(Case):
    def test_a_batch_of_reads_and_writes(self):
        known = self.client.records.create("contact", {"lastname": "known"})
        batch = self.client.batch.new()
        batch.records.create("contact", {"lastname": "one"})
        batch.records.create("contact", [{"lastname": "two"}, {"lastname": "three"}])
        batch.records.update("contact", known, {"lastname": "changed"})
        batch.records.retrieve("contact", known, select=["lastname"])
        batch.records.list("contact", filter="lastname eq 'changed'", select=["lastname"])
        batch.tables.get("contact")
        batch.records.delete("contact", known)
        result = batch.execute()
        self.assertFalse(result.has_errors, [item.error_message for item in result.responses])
        self.assertEqual([item.status_code for item in result.responses], [204, 200, 204, 200, 200, 200, 204])
        self.assertEqual(result.responses[3].data["lastname"], "changed")
        self.assertEqual(sorted(row["lastname"] for row in EMULATOR.dump("contact")), ["one", "three", "two"])

    def test_a_change_set_binds_by_content_id_and_rolls_back(self):
        batch = self.client.batch.new()
        with batch.changeset() as changes:
            account = changes.records.create("account", {"name": "Bound"})
            contact = changes.records.create("contact", {"lastname": "bound", "parentcustomerid_account@odata.bind": account})
            changes.records.update("contact", contact, {"jobtitle": "by reference"})
        result = batch.execute()
        self.assertFalse(result.has_errors, [item.error_message for item in result.responses])
        [row] = EMULATOR.dump("contact")
        self.assertEqual((row["jobtitle"], row["_parentcustomerid_value"] is not None), ("by reference", True))
        batch = self.client.batch.new()
        with batch.changeset() as changes:
            changes.records.create("contact", {"lastname": "undone"})
            changes.records.update("contact", str(uuid.uuid4()), {"lastname": "nobody"})
        batch.records.create("contact", {"lastname": "after"})
        result = batch.execute(continue_on_error=True)
        self.assertEqual([item.status_code for item in result.responses], [404, 204])
        self.assertEqual(sorted(row["lastname"] for row in EMULATOR.dump("contact")), ["after", "bound"])

    def test_without_going_on_the_first_failure_ends_the_batch(self):
        batch = self.client.batch.new()
        batch.records.create("contact", {"lastname": "before"})
        batch.records.create("contact", {"lastname": "x" * 51})
        batch.records.create("contact", {"lastname": "never"})
        result = batch.execute()
        self.assertEqual([item.status_code for item in result.responses], [204, 400])
        self.assertEqual(len(EMULATOR.dump("contact")), 1)


class Tier(enum.IntEnum):
    GOLD = 1
    SILVER = 2


class Metadata(Case):
    def test_tables_columns_and_relationships_are_read(self):
        contact = self.client.tables.get("contact")
        self.assertEqual((contact["entity_set_name"], contact["primary_id_attribute"]), ("contacts", "contactid"))
        self.assertIsNone(self.client.tables.get("nosuch"))
        names = {table["LogicalName"] for table in self.client.tables.list(select=["LogicalName", "EntitySetName"])}
        self.assertLessEqual({"account", "contact", "systemuser"}, names)
        one = self.client.tables.list(filter="SchemaName eq 'Contact'", select=["LogicalName"])
        self.assertEqual([table["LogicalName"] for table in one], ["contact"])
        columns = {column["LogicalName"]: column for column in self.client.tables.list_columns("contact", select=["LogicalName", "AttributeType"])}
        self.assertEqual(columns["parentcustomerid"]["AttributeType"], "Customer")
        typed = self.client.tables.get_column("contact", "firstname", typed=True)
        self.assertEqual(typed["MaxLength"], 50)
        self.assertEqual(self.client.tables.get_column("contact", "gendercode")["SchemaName"], "GenderCode")
        self.assertIsNone(self.client.tables.get_column("contact", "nosuch"))
        relations = self.client.tables.list_table_relationships("contact")
        self.assertIn("parentcustomerid_account", {item.get("ReferencingEntityNavigationPropertyName") for item in relations})
        found = self.client.tables.get_relationship("contact_customer_accounts")
        self.assertEqual((found.referenced_entity, found.referencing_entity), ("account", "contact"))
        keys = self.client.tables.get_alternate_keys("contact")
        self.assertEqual(sorted(key.schema_name for key in keys), ["new_byemployee", "new_byidentifier"])
        self.assertEqual({key.status for key in keys}, {"Active"})
        expands = self.client.query.odata_expands("contact")
        self.assertIn("parentcustomerid_account", {item["nav_property"] for item in expands})

    def test_a_table_is_made_filled_changed_and_removed(self):
        made = self.client.tables.create(
            "new_Membership",
            {"new_Points": "int", "new_Fee": "decimal", "new_Since": "datetime", "new_Active": "bool", "new_Note": "memo", "new_Tier": Tier},
            display_name="Membership",
        )
        self.assertEqual((made["entity_set_name"], made["primary_id_attribute"]), ("new_memberships", "new_membershipid"))
        with self.assertRaises(MetadataError):
            self.client.tables.create("new_membership", {})
        fields = {"new_name": "A", "new_Points": 5, "new_Fee": 12.5, "new_Active": True, "new_Tier": "Silver", "new_Since": "2024-01-31T00:00:00Z"}
        row = self.client.records.create("new_membership", fields)
        read = self.client.records.retrieve("new_Membership", row)
        self.assertEqual((read["new_points"], read["new_fee"], read["new_active"], read["new_tier"]), (5, 12.5, True, 2))
        self.assertEqual(self.client.tables.add_columns("new_Membership", {"new_Code": "string"}), ["new_Code"])
        self.client.tables.update_column("new_Membership", "new_Code", {"max_length": 8})
        self.assertEqual(self.client.tables.get_column("new_Membership", "new_code", typed=True)["MaxLength"], 8)
        with self.assertRaisesRegex(HttpError, "length of '8'"):
            self.client.records.update("new_membership", row, {"new_code": "123456789"})
        self.client.records.update("new_membership", row, {"new_code": "C-1"})
        key = self.client.tables.create_alternate_key("new_Membership", "new_ByCode", ["new_code"])
        self.assertTrue(key.metadata_id)
        self.client.records.upsert("new_membership", [UpsertItem(alternate_key={"new_code": "C-1"}, record={"new_points": 6})])
        self.assertEqual(self.client.records.retrieve("new_membership", row)["new_points"], 6)
        with self.assertRaises(HttpError) as caught:
            self.client.records.create("new_membership", {"new_code": "C-1"})
        self.assertEqual((caught.exception.status_code, caught.exception.details.get("service_error_code")), (412, "0x80060892"))
        [described] = self.client.tables.get_alternate_keys("new_Membership")
        self.client.tables.delete_alternate_key("new_Membership", described.metadata_id)
        self.assertEqual(self.client.tables.remove_columns("new_Membership", ["new_Code"]), ["new_Code"])
        self.assertEqual(self.client.records.retrieve("new_membership", row)["new_points"], 6)
        self.client.tables.delete("new_Membership")
        self.assertIsNone(self.client.tables.get("new_Membership"))

    def test_a_lookup_is_made_bound_by_its_navigation_property_and_removed(self):
        self.client.tables.create("new_Visit", {})
        made = self.client.tables.create_lookup_field("new_Visit", "new_VisitorId", "contact")
        self.assertTrue(made.relationship_id)
        visitor = self.client.records.create("contact", {"lastname": "Visitor"})
        bind = self.client.query.odata_bind("new_visit", "contact", visitor)
        self.assertEqual(list(bind), ["new_VisitorId@odata.bind"])
        visit = self.client.records.create("new_visit", {"new_name": "first"} | bind)
        read = self.client.records.retrieve("new_visit", visit, select=["new_name"], expand=["new_VisitorId($select=lastname)"])
        self.assertEqual(read["new_VisitorId"]["lastname"], "Visitor")
        found = self.client.tables.get_relationship(made.relationship_schema_name)
        self.assertEqual(found.referencing_entity, "new_visit")
        self.client.tables.delete_relationship(made.relationship_id)
        self.assertIsNone(self.client.tables.get_column("new_visit", "new_visitorid"))
        self.client.tables.delete("new_Visit")


if __name__ == "__main__":
    try:
        program = unittest.main(verbosity=2, exit=False)
    finally:
        EMULATOR.stop()
        FOLDER.cleanup()
    sys.exit(not program.result.wasSuccessful())
