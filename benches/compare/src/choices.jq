(.birthdate != null and .birthdate < "1970-01-01") as $old
| {
    externalId: .contactid,
    firstName: (if .firstname == null then null else (.firstname | trim | .[0:30]) end),
    lastName: (if .lastname == null then null else (.lastname | trim) end),
    email: (if .emailaddress1 == null then null else (.emailaddress1 | trim | ascii_downcase) end),
    middleName: (if .jobtitle == null then null else $industries[.jobtitle] end),
    cusScore: (if .numberofchildren == null then null else .numberofchildren * 10 + (.annualincome // 0) * 0.5 - 3 end),
    salutation: (
      if .gendercode == 1 and $old then "Sehr geehrter Herr"
      elif .gendercode == 2 and $old then "Sehr geehrte Frau"
      elif .gendercode == 1 then "Herr"
      elif .gendercode == 2 then "Frau"
      else null end
    )
  }
