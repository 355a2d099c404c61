"""Makes contacts.xlsx, the workbook of the tests of `import`. Needs openpyxl; run by hand after a change."""

import datetime
import pathlib

import openpyxl

book = openpyxl.Workbook()
overview = book.active
overview.title = "Overview"
overview.append(["Integration of contacts"])
overview.append(["Version", 3, datetime.date(2024, 5, 1)])

fields = book.create_sheet("Fields")
for row in [
    ["Contacts to profiles"],
    [],
    ["Dynamics 365", None, None, "Adobe Campaign"],
    ["Field", "Type", "->", "Field", "Type", "Transformation", "Default value", "Apply updates", "Notes"],
    ["Person"],
    ["contactid", "Guid", "->", "externalId", "Text"],
    ["First\u00a0Name", "Text", "→", "firstName", "Text", "trim, truncate(30)"],
    ["lastname", "Text", "D365 to Campaign", "lastName", "Text", "trim;\nupper", None, "no"],
    ["birthdate", "Date", "->", "birthDate", "Date", None, datetime.date(1990, 1, 31)],
    ["fax", "Text", "->", "fax", "Text", "truncate(32)", None, None, "both numbers"],
    [None, "Text", "->", "phone", "Text", "truncate(32)"],
    ["Field", "Type", "->", "Field", "Type", "Transformation", "Default value", "Apply updates", "Notes"],
    ["Opt-outs"],
    ["donotemail", "Yes/No", "<->", "denyListEmail", "Yes/No"],
    ["followemail", "Yes/No", "both", "denyList", "Yes/No", "not"],
    ["donotphone", "Yes/No", "<-", "denyListPhone", "Yes/No"],
    ["Not decided"],
    ["telephone1", "Text", "Campaign to D365", "mobilePhone", "Text"],
    ["jobtitle", "Text", "tbd", "salutation", "Text"],
]:
    fields.append(row)
for region in ["A1:I1", "A3:B3", "D3:E3", "A5:I5", "A10:A11", "A13:I13", "A17:I17"]:
    fields.merge_cells(region)

values = book.create_sheet("Values")
values.append(["Field", "Existing value", "New value"])
values.append(["gendercode", 1, "male"])
values.append(["gendercode", "2", "female"])
values.append(["gendercode", None, "unknown"])
values.append(["gendercode", "other", "unknown"])

filters = book.create_sheet("Filter")
for row in [
    ["Field", "Operator", "Value"],
    ["createdon", "on or after", "31.12.2019"],
    ["birthdate", "after", "25/12/1900"],
    ["birthdate", "before", "03/04/2010"],
    ["createdon", "before", datetime.datetime(2030, 1, 2, 3, 4, 5)],
    ["numberofchildren", "less than", 12.0],
    ["donotbulkemail", "equals", False],
]:
    filters.append(row)

old = book.create_sheet("Old")
old.append(["Source", "Target"])
old.append(["lastname", "middleName"])
old.sheet_state = "hidden"

book.save(pathlib.Path(__file__).with_name("contacts.xlsx"))
