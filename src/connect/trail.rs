//! Pages that lead nowhere: links that form a cycle, pages that come again, and pages that bring nothing.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Pages in a row that may be empty though more are to come. Services leave pages empty where rights or filters hide their rows.
const EMPTY_PAGES: u32 = 1000;

/// Why pages will not come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndlessPages {
    /// A link to the next page was followed before.
    #[error("the links to the next page form a cycle")]
    Circle,
    /// [`EMPTY_PAGES`] in a row were empty.
    #[error("{EMPTY_PAGES} pages in a row brought nothing, and each has a link to the next one")]
    Empty,
    /// A page is the same as an earlier one.
    #[error("the same page came again under another link")]
    Repeated,
}

/// What one reading of pages has followed. Kept as hashes: eight bytes for each page.
#[derive(Debug, Default, Clone)]
pub struct Trail {
    links: HashSet<u64>,
    contents: HashSet<u64>,
    empty: u32,
}

impl Trail {
    /// Records a page: the link it was read by (none for the first page), the link to the next one, its number of items, and a
    /// hash of them.
    ///
    /// # Errors
    /// [`EndlessPages`].
    pub fn step(&mut self, from: Option<&str>, next: &str, items: usize, content: u64) -> Result<(), EndlessPages> {
        if let Some(from) = from {
            self.links.insert(hash_of(from));
        }
        if self.links.contains(&hash_of(next)) {
            return Err(EndlessPages::Circle);
        }
        if items == 0 {
            self.empty += 1;
            if self.empty >= EMPTY_PAGES {
                return Err(EndlessPages::Empty);
            }
            return Ok(());
        }
        self.empty = 0;
        // If two pages are alike, one is a repetition: each item has a unique id or position.
        if self.contents.insert(content) { Ok(()) } else { Err(EndlessPages::Repeated) }
    }
}

/// A hash of anything, for [`Trail::step`].
pub fn hash_of(content: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_itself_and_a_longer_circle_are_found() {
        let mut trail = Trail::default();
        assert!(trail.step(None, "2", 1, 1).is_ok());
        assert!(trail.step(Some("2"), "3", 1, 2).is_ok());
        assert!(trail.clone().step(Some("3"), "3", 1, 3).is_err());
        assert!(trail.step(Some("3"), "2", 1, 3).is_err());
    }

    #[test]
    fn a_page_that_comes_again_under_another_link_is_found_and_so_are_pages_without_end_that_bring_nothing() {
        let mut trail = Trail::default();
        assert!(trail.step(None, "a", 5, 1).is_ok());
        assert!(trail.step(Some("a"), "b", 5, 1).is_err());
        let mut trail = Trail::default();
        let steps = (0..2000).find(|n| trail.step(Some(&n.to_string()), &(n + 1).to_string(), 0, 0).is_err());
        assert_eq!(steps, Some(999));
    }
}
