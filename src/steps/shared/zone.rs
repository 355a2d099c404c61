//! Time zones by their names.

use super::call::Wrong;
use super::ready::NotReady;

/// The time zone of an IANA name (`Europe/Vienna`) or of a name that Windows and Dynamics use (`W. Europe Standard Time`).
///
/// A Windows name stands for the zone that Unicode's CLDR gives for it without a country (windowsZones, territory 001).
pub fn time_zone(name: &str) -> Option<chrono_tz::Tz> {
    if let Ok(zone) = name.parse() {
        return Some(zone);
    }
    let id = icu_time::zone::WindowsParser::new().parse(name, None)?;
    let iana = icu_time::zone::IanaParser::new();
    chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| iana.parse(zone.name()) == id)
}

/// The IANA names of all time zones.
pub fn time_zones() -> impl Iterator<Item = &'static str> {
    chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())
}

/// Checks that an argument is the name of a time zone.
pub fn check_zone(name: &str) -> Result<(), Wrong> {
    if time_zone(name).is_some() {
        return Ok(());
    }
    Err(Wrong::arguments(
        "not the name of a time zone: write a continent and a city, such as \"Europe/Berlin\", the name that Windows uses, such as \"W. Europe Standard Time\", or \"UTC\"",
    ))
}

/// The time zone of a plan.
pub fn ready_zone(name: &str) -> Result<chrono_tz::Tz, NotReady> {
    time_zone(name).ok_or_else(|| NotReady("an unknown time zone".to_owned()))
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, NaiveTime, TimeZone};

    use super::*;

    #[test]
    fn zones_have_iana_and_windows_names() {
        assert_eq!(time_zone("Europe/Vienna"), Some(chrono_tz::Europe::Vienna));
        for (windows, offset) in [
            ("W. Europe Standard Time", "+0100"),
            ("Tokyo Standard Time", "+0900"),
            ("India Standard Time", "+0530"),
            ("Pacific Standard Time", "-0800"),
            ("UTC", "+0000"),
            ("UTC-11", "-1100"),
        ] {
            let zone = time_zone(windows).unwrap_or_else(|| panic!("{windows} is known"));
            let winter = zone.from_utc_datetime(&NaiveDate::from_ymd_opt(2024, 1, 15).expect("a day").and_time(NaiveTime::MIN));
            assert_eq!(winter.format("%z").to_string(), offset, "{windows}");
        }
        assert_eq!(time_zone("Vienna"), None);
    }
}
