//! What `init` writes: a commented project file, a first mapping file, its first tests, a workflow for CI.
//!
//! In the project file `# ` begins prose and `#` directly before a key a key that is commented out: taking just the `#`
//! away gives a valid file. Tests hold both.

/// The project file.
pub const PROJECT: &str = include_str!("init/d365map.yaml");

/// The mapping file that is shipped for contacts.
pub const MAPPING: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/contacts.d365map"));

/// The first tests, of [`starter`].
pub const TESTS: &str = include_str!("init/tests.d365map");

/// Lines for .gitignore: the state holds personal data, and secrets must not be committed.
pub const IGNORED: [&str; 2] = [".d365map/", "secrets/"];

/// Lines for .gitattributes: mapping files have the same bytes on every machine, whatever `core.autocrlf` says.
pub const ATTRIBUTES: [&str; 1] = ["*.d365map text eol=lf"];

/// All mapping files that are shipped, by their paths in a project.
pub const SHIPPED: [(&str, &str); 3] = [
    ("mappings/contacts.d365map", MAPPING),
    ("mappings/events.d365map", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/events.d365map"))),
    ("mappings/optout.d365map", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/optout.d365map"))),
];

/// The mapping file that is shipped for referrals, by its path in a project. It needs a connection to Partner Center.
pub const REFERRALS: (&str, &str) =
    ("mappings/referrals.d365map", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/mappings/referrals.d365map")));

/// The option of [`MAPPING`] that deletes profiles, and what a new project has instead.
const OPTIONS: (&str, &str) = (
    "  options {
    deletes propagate
  }
",
    "  # With these options, d365map deletes nothing in Campaign. `deletes propagate` also deletes the profile of a contact that was
  # deleted in Dynamics 365; `filtered-out delete` also deletes the profile of a contact that no longer passes the filter.
  options {
    deletes      ignore
    filtered-out keep
  }
",
);

/// The first mapping file of a project: the shipped one, without the option that deletes. Whoever wants deletions writes them.
pub fn starter() -> String {
    MAPPING.replacen(OPTIONS.0, OPTIONS.1, 1)
}

/// A service that runs checks for a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ci {
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
    /// Azure Pipelines.
    Azure,
}

impl Ci {
    /// Where the service looks for the workflow, from the root of the repository.
    pub fn path(self) -> &'static str {
        match self {
            Ci::Github => ".github/workflows/d365map.yml",
            Ci::Gitlab => ".gitlab-ci.yml",
            Ci::Azure => "azure-pipelines.yml",
        }
    }

    /// The workflow. `mappings` is the mapping folder from the root of the repository, as a word of a POSIX shell.
    pub fn workflow(self, mappings: &str) -> String {
        let text = match self {
            Ci::Github => include_str!("init/github.yml"),
            Ci::Gitlab => include_str!("init/gitlab.yml"),
            Ci::Azure => include_str!("init/azure.yml"),
        };
        text.replace("@version@", env!("CARGO_PKG_VERSION")).replace("@mappings@", mappings)
    }
}
