//! Sample rows: people of many scripts and habits, the same for the same seed.
//!
//! The data is meant to hurt where real data does: names longer than the other side takes, addresses in capitals with blanks around
//! them, missing values, inactive rows, apostrophes and non-Latin letters.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use uuid::Uuid;

use super::store::Changes;
use super::table::Table;
use super::value::Value;
use crate::net::mix;

const FIRST: [(&str, u8); 48] = [
    ("Anna", 2),
    ("Zoë", 2),
    ("José", 1),
    ("Łukasz", 1),
    ("Siân", 2),
    ("Mehmet", 1),
    ("Ольга", 2),
    ("Дмитрий", 1),
    ("美咲", 2),
    ("翔太", 1),
    ("伟", 1),
    ("秀英", 2),
    ("민준", 1),
    ("서연", 2),
    ("محمد", 1),
    ("فاطمة", 2),
    ("נועה", 2),
    ("Γιώργος", 1),
    ("Ελένη", 2),
    ("Nguyễn", 1),
    ("Đức", 1),
    ("Jean-Baptiste", 1),
    ("Chloé", 2),
    ("François", 1),
    ("Björn", 1),
    ("Åsa", 2),
    ("Søren", 1),
    ("Þórður", 1),
    ("Aoife", 2),
    ("Máire", 2),
    ("Thomas", 1),
    ("Emma", 2),
    ("Liam", 1),
    ("Olivia", 2),
    ("Noah", 1),
    ("Sofia", 2),
    ("Mateo", 1),
    ("Valentina", 2),
    ("João", 1),
    ("Inês", 2),
    ("Priya", 2),
    ("Arjun", 1),
    ("Ayşe", 2),
    ("İbrahim", 1),
    ("Željko", 1),
    ("Ivana", 2),
    ("Bence", 1),
    ("Zsófia", 2),
];
const LAST: [&str; 48] = [
    "Müller",
    "O'Brien",
    "D'Angelo",
    "Nuñez",
    "Kowalczyk",
    "Öztürk",
    "Иванова",
    "Соколов",
    "佐藤",
    "鈴木",
    "王",
    "李",
    "김",
    "이",
    "الحسن",
    "خليل",
    "כהן",
    "Παπαδόπουλος",
    "Nguyễn",
    "Trần",
    "Lefèvre",
    "Dubois-Martin",
    "Åström",
    "Lindqvist",
    "Jørgensen",
    "Guðmundsdóttir",
    "Ní Dhomhnaill",
    "McDonald",
    "van der Berg",
    "de la Cruz",
    "Smith",
    "Johnson",
    "García",
    "Rodrigues",
    "Silva",
    "Sharma",
    "Patel",
    "Çelik",
    "Horvat",
    "Nagy",
    "Szabó",
    "Schröder",
    "Weiß",
    "Fischer",
    "Rossi",
    "Esposito",
    "Kim",
    "St. John",
];
const CITY: [(&str, &str, &str, &str); 14] = [
    ("München", "80331", "Bayern", "Germany"),
    ("Zürich", "8001", "ZH", "Switzerland"),
    ("Paris", "75001", "Île-de-France", "France"),
    ("Łódź", "90-001", "Łódzkie", "Poland"),
    ("東京", "100-0001", "東京都", "Japan"),
    ("São Paulo", "01000-000", "SP", "Brazil"),
    ("Dublin", "D02 X285", "Leinster", "Ireland"),
    ("İstanbul", "34000", "İstanbul", "Türkiye"),
    ("Москва", "101000", "", "Russia"),
    ("Athína", "105 57", "Attikí", "Greece"),
    ("Seattle", "98101", "WA", "United States"),
    ("Toronto", "M5H 2N2", "ON", "Canada"),
    ("Reykjavík", "101", "", "Iceland"),
    ("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch", "LL61 5UJ", "Wales", "United Kingdom"),
];
const STREET: [&str; 8] =
    ["Hauptstraße", "Rue de l'Église", "Main Street", "Calle Mayor", "Via Roma", "ul. Długa", "桜通り", "Grafton Street"];
const JOB: [&str; 6] = ["Geschäftsführerin", "Chief Technology Officer", "Verkäufer", "Directrice", "Engineer", "営業部長"];
/// Longer than 30 characters, within Dataverse's 50.
const LONG_FIRST: [&str; 3] =
    ["Maximiliane Friederike Charlotte Auguste", "Juan Carlos Alfonso Víctor María de Todos", "Αλεξάνδρα-Κωνσταντίνα-Μαρία-Ελευθερία"];

/// The id of a sample row.
pub(super) fn id(seed: u64, table: u64, index: usize) -> Uuid {
    let base = mix(seed ^ table.wrapping_mul(0x1_0001) ^ ((index as u64) << 20));
    let (a, b) = (mix(base), mix(base ^ 0xA5A5_A5A5));
    uuid::Builder::from_random_bytes(((u128::from(a) << 64) | u128::from(b)).to_be_bytes()).into_uuid()
}

/// When the sample row was created: a fixed day and onwards, so that the data does not depend on the clock.
pub(super) fn created(index: usize) -> i64 {
    1_704_067_200 + index as i64 * 60
}

/// The values of a sample account.
pub(super) fn account(table: &Table, index: usize) -> Changes {
    let values = [
        ("name", format!("{} & {} GmbH", LAST[index % LAST.len()], LAST[(index * 7 + 3) % LAST.len()])),
        ("accountnumber", format!("A-{index:05}")),
    ];
    values.iter().filter_map(|(name, value)| Some((table.column(name)?, Value::text(value)))).collect()
}

/// Letters, digits and dots of a name, for an address; `None` when nothing Latin is left.
fn ascii(name: &str) -> Option<String> {
    let text: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    (text.len() >= 2).then_some(text)
}

/// The values of a sample contact. `account` is the index of the account table and the ids of its rows.
pub(super) fn contact(table: &Table, seed: u64, index: usize, (account_table, accounts): (u8, &[Uuid])) -> Changes {
    let mut state = mix(seed.wrapping_add(index as u64).wrapping_mul(0x2545_F491_4F6C_DD1D));
    let mut roll = |sides: u64| {
        state = mix(state);
        state % sides
    };
    let mut changes = Changes::with_capacity(24);
    let mut put = |name: &str, value: Value| {
        if let Some(column) = table.column(name) {
            changes.push((column, value));
        }
    };
    let (mut first, gender) = FIRST[roll(FIRST.len() as u64) as usize];
    let last = LAST[roll(LAST.len() as u64) as usize];
    if roll(60) == 0 {
        first = LONG_FIRST[roll(3) as usize];
    }
    if roll(50) != 0 {
        put("firstname", Value::text(first));
    }
    put("lastname", Value::text(last));
    if roll(8) != 0 {
        let local = format!("{}.{}.{index}", ascii(first).unwrap_or_else(|| "contact".into()), ascii(last).unwrap_or_else(|| "x".into()));
        let address = match roll(12) {
            0 => format!("  {}@EXAMPLE.COM ", local.to_uppercase()),
            1 => format!("{local}@Example.Org"),
            _ => format!("{}@example.com", local.to_lowercase()),
        };
        put("emailaddress1", Value::text(&address));
    }
    if roll(3) != 0 {
        put("gendercode", Value::Int(i64::from(gender)));
    }
    if roll(4) != 0 {
        let day = NaiveDate::from_ymd_opt(1940, 1, 1).and_then(|start| start.checked_add_days(chrono::Days::new(roll(24_000))));
        if let Some(day) = day {
            put("birthdate", Value::Day(day));
        }
    }
    if roll(3) == 0 {
        put("creditlimit", Value::Dec(Decimal::new(roll(10_000_000) as i64, 2).normalize()));
    }
    match roll(9) {
        0 => put("salutation", Value::text("Prof. Dr. Dr. h.c. mult.")),
        1..5 => put("salutation", Value::text(if gender == 1 { "Mr." } else { "Ms." })),
        _ => {}
    }
    if roll(2) == 0 {
        put("telephone1", Value::text(&format!("+49 89 {:07}", roll(10_000_000))));
    }
    if roll(3) == 0 {
        put(
            "mobilephone",
            Value::text(&format!("+353 (0)87 {:07}{}", roll(10_000_000), if roll(20) == 0 { " ext. 123456789012" } else { "" })),
        );
    }
    if roll(4) == 0 {
        put("jobtitle", Value::text(JOB[roll(JOB.len() as u64) as usize]));
    }
    if roll(5) != 0 {
        let (city, zip, region, country) = CITY[roll(CITY.len() as u64) as usize];
        put("address1_line1", Value::text(&format!("{} {}", STREET[roll(STREET.len() as u64) as usize], 1 + roll(199))));
        put("address1_city", Value::text(city));
        put("address1_postalcode", Value::text(zip));
        if !region.is_empty() {
            put("address1_stateorprovince", Value::text(region));
        }
        put("address1_country", Value::text(country));
    }
    for flag in ["donotemail", "donotbulkemail", "donotphone", "donotfax", "donotpostalmail"] {
        if roll(15) == 0 {
            put(flag, Value::Bool(true));
        }
    }
    if roll(3) == 0 && !accounts.is_empty() {
        let account = accounts[roll(accounts.len() as u64) as usize];
        put("parentcustomerid", Value::Link(account_table, account.into()));
    }
    if roll(20) == 0 {
        put("statecode", Value::Int(1));
        put("statuscode", Value::Int(2));
    }
    changes
}
