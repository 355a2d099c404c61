//! What `init` writes: a commented project file and a first mapping file.
//!
//! In the project file `# ` begins prose and `#` directly before a key a key that is commented out: taking just the `#`
//! away gives a valid file. Tests hold both.

/// The project file.
pub const PROJECT: &str = include_str!("template.yaml");

/// The first mapping file: the one that the project ships for contacts.
pub const MAPPING: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/contacts.d365map"));

/// Lines for .gitignore: the state holds personal data, secrets are nobody's business.
pub const IGNORED: [&str; 2] = [".d365map/", "secrets/"];

/// All mapping files that are shipped, by their paths in a project.
pub const SHIPPED: [(&str, &str); 3] = [
    ("mappings/contacts.d365map", MAPPING),
    ("mappings/events.d365map", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/events.d365map"))),
    ("mappings/optout.d365map", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/optout.d365map"))),
];
