//! The language of labels: a Windows language code (LCID) or the name of a culture.

use super::reader::Reader;
use crate::diagnostics::nearest;
use crate::yaml::Spanned;

/// The languages of Dynamics 365's language packs, by the names of their cultures and their codes (Windows, *Language Code Identifier
/// Reference*, MS-LCID).
const LANGUAGES: &[(&str, u32)] = &[
    ("ar-SA", 1025),
    ("bg-BG", 1026),
    ("ca-ES", 1027),
    ("cs-CZ", 1029),
    ("da-DK", 1030),
    ("de-DE", 1031),
    ("el-GR", 1032),
    ("en-US", 1033),
    ("es-ES", 3082),
    ("et-EE", 1061),
    ("eu-ES", 1069),
    ("fi-FI", 1035),
    ("fr-FR", 1036),
    ("gl-ES", 1110),
    ("he-IL", 1037),
    ("hi-IN", 1081),
    ("hr-HR", 1050),
    ("hu-HU", 1038),
    ("id-ID", 1057),
    ("it-IT", 1040),
    ("ja-JP", 1041),
    ("kk-KZ", 1087),
    ("ko-KR", 1042),
    ("lt-LT", 1063),
    ("lv-LV", 1062),
    ("ms-MY", 1086),
    ("nb-NO", 1044),
    ("nl-NL", 1043),
    ("pl-PL", 1045),
    ("pt-BR", 1046),
    ("pt-PT", 2070),
    ("ro-RO", 1048),
    ("ru-RU", 1049),
    ("sk-SK", 1051),
    ("sl-SI", 1060),
    ("sr-Cyrl-RS", 10266),
    ("sr-Latn-RS", 9242),
    ("sv-SE", 1053),
    ("th-TH", 1054),
    ("tr-TR", 1055),
    ("uk-UA", 1058),
    ("vi-VN", 1066),
    ("zh-CN", 2052),
    ("zh-HK", 3076),
    ("zh-TW", 1028),
];

/// The code of a language: any number that can be one, or the name of a culture, whatever its case.
fn code(text: &str) -> Option<u32> {
    match text.parse::<u32>() {
        // The lower half of an LCID is the language, which is never zero; the upper half is a sort order.
        Ok(number) => (number & 0xffff != 0 && number <= 0x000f_ffff).then_some(number),
        Err(_) => LANGUAGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, code)| *code),
    }
}

impl Reader<'_> {
    pub(super) fn label_language(&mut self, given: &Spanned<String>) -> Option<u32> {
        let found = code(given.value.trim());
        if found.is_none() {
            let near = nearest(given.value.trim(), LANGUAGES.iter().map(|(name, _)| *name));
            let help = near.map_or_else(
                || "write the code of the language, such as 1031, or the name of its culture, such as `de-DE`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.problem(&given.span, format!("`{}` is not a language", given.value), "not a language code or culture", help);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_code_or_the_name_of_a_culture_in_any_case() {
        assert_eq!(code("1031"), Some(1031));
        assert_eq!(code("de-DE"), Some(1031));
        assert_eq!(code("DE-de"), Some(1031));
        for wrong in ["", "0", "-1", "deutsch", "65536", "9999999999"] {
            assert_eq!(code(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_language_is_listed_once() {
        let codes: std::collections::BTreeSet<u32> = LANGUAGES.iter().map(|(_, code)| *code).collect();
        assert_eq!(codes.len(), LANGUAGES.len());
        assert!(LANGUAGES.is_sorted_by_key(|(name, _)| *name));
    }
}
