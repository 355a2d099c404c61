def cut(n): if . == null then null else (trim | .[0:n]) end;
select(
  .statecode == 0
  and (.lastname // "") != ""
  and ((.emailaddress1 // "") != "" or (.mobilephone // "") != "")
  and ((.emailaddress1 // "" | ascii_downcase | endswith("@example.invalid")) | not)
)
| {
    externalId: .contactid,
    salutation: (.salutation | cut(20)),
    firstName: (.firstname | cut(30)),
    middleName: (.middlename | cut(30)),
    lastName: (.lastname | trim),
    email: (if .emailaddress1 == null then null else (.emailaddress1 | trim | ascii_downcase) end),
    birthDate: .birthdate,
    gender: (if .gendercode == 1 then "male" elif .gendercode == 2 then "female" else "unknown" end),
    phone: ((.telephone1 // .home2 // .company) | cut(32)),
    mobilePhone: (.mobilephone | cut(32)),
    fax: (.fax | cut(32)),
    location: {
      address1: (.address1_line1 | cut(80)),
      address2: (if .address1_line2 == null and .address1_line3 == null then null else (((.address1_line2 // "") + " " + (.address1_line3 // "")) | cut(80)) end),
      city: (.address1_city | cut(50)),
      zipCode: (if .address1_postalcode == null then null else (.address1_postalcode | trim | ascii_upcase | .[0:10]) end),
      countryCode: ({"Austria":"AT","Brazil":"BR","Canada":"CA","France":"FR","Germany":"DE","Greece":"GR","Iceland":"IS","Ireland":"IE","Japan":"JP","Poland":"PL","Switzerland":"CH","United Kingdom":"GB","United States":"US"}[.address1_country // ""])
    },
    emailFormat: "html"
  }
