//! The records that all engines map: contacts as Dataverse's Web API gives them, from a fixed seed.

const FIRST: [&str; 12] = ["Ada", "Grace", "José", "Zoë", "Maximiliane-Friederike-Charlotte", "Łukasz", "Anne Marie", "O'Neil", "Jürgen", "Mary", "Ines", " Paul "];
const LAST: [&str; 10] = ["Lovelace", "Hopper", "García Márquez", "Müller", "Nowak", "van der Berg", "Smith", "O'Brien", "Straße", "Yamada"];
const COUNTRY: [&str; 8] = ["Germany", "France", "Ireland", "Japan", "Poland", "United States", "Atlantis", "Canada"];

/// A small generator (SplitMix64), so that every run has the same records.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.roll(list.len() as u64) as usize]
    }

    fn maybe(&mut self, one_in: u64, text: String) -> serde_json::Value {
        if self.roll(one_in) == 0 { serde_json::Value::Null } else { text.into() }
    }
}

/// `count` records, one JSON text each.
pub fn generate(count: usize) -> Vec<String> {
    let mut dice = Dice(365);
    (0..count)
        .map(|i| {
            let (first, last) = (dice.pick(&FIRST), dice.pick(&LAST));
            let mail = if dice.roll(10) == 0 { format!(" USER.{i}@EXAMPLE.COM ") } else { format!("user.{i}@example.com") };
            let gender = match dice.roll(3) {
                0 => serde_json::Value::Null,
                n => n.into(),
            };
            let born = format!("19{:02}-{:02}-{:02}", 40 + dice.roll(60), 1 + dice.roll(12), 1 + dice.roll(28));
            let record = serde_json::json!({
                "@odata.etag": format!("W/\"{}\"", 700_000 + i),
                "contactid": format!("{:08x}-0000-4000-8000-{:012x}", i, i * 7919),
                "salutation": dice.maybe(3, "Prof. Dr. Dr. h.c. mult.".to_owned()),
                "firstname": dice.maybe(40, first.to_owned()),
                "middlename": dice.maybe(2, "M.".to_owned()),
                "lastname": last,
                "emailaddress1": dice.maybe(12, mail),
                "birthdate": dice.maybe(4, born),
                "gendercode": gender,
                "telephone1": dice.maybe(2, format!("+49 89 {:07}", dice.0 % 10_000_000)),
                "home2": dice.maybe(2, format!("+49 30 {:07}", dice.0 % 10_000_000)),
                "company": null,
                "mobilephone": dice.maybe(3, format!("+353 87 {:07}", dice.0 % 10_000_000)),
                "fax": null,
                "address1_line1": dice.maybe(6, format!("{} Hauptstraße", 1 + i % 199)),
                "address1_line2": dice.maybe(2, "Rear building".to_owned()),
                "address1_line3": null,
                "address1_city": dice.maybe(6, "München".to_owned()),
                "address1_postalcode": dice.maybe(6, format!("d{:05}", i % 100_000)),
                "address1_country": dice.maybe(6, COUNTRY[i % COUNTRY.len()].to_owned()),
                "statecode": u8::from(dice.roll(20) == 0),
                "numberofchildren": if dice.roll(4) == 0 { serde_json::Value::Null } else { dice.roll(6).into() },
                // Quarters, which floating-point numbers hold exactly too.
                "annualincome": if dice.roll(3) == 0 { serde_json::Value::Null } else { (dice.roll(400_000) as f64 / 4.0).into() },
                // Of some, the table of industries has no row.
                "jobtitle": if i % 9 == 0 { serde_json::Value::Null } else { format!("K{:04}", i % 3_200).into() },
            });
            record.to_string()
        })
        .collect()
}
