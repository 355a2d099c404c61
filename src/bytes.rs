//! Questions about the bytes of a text, asked of eight at a time: most texts are shorter than what the compiler examines at once.

/// Whether the answer is yes for any of the bytes, which are given as words of eight. The rest of the last word is letters.
pub fn any(bytes: &[u8], question: impl Fn(u64) -> bool) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [b'a'; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().any(|word| question(u64::from_le_bytes(*word))) || (!rest.is_empty() && question(u64::from_le_bytes(last)))
}

/// One in each byte of a word.
const ONES: u64 = u64::from_le_bytes([1; 8]);

/// The highest bit of each byte of a word.
const HIGH: u64 = ONES << 7;

/// Whether a byte of the word is less than `limit`, which is at most 128.
pub fn below(word: u64, limit: u8) -> bool {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH != 0
}

/// Whether the word has this byte.
pub fn has(word: u64, byte: u8) -> bool {
    below(word ^ (ONES * u64::from(byte)), 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{below, has};

    proptest! {
        #[test]
        fn words_give_the_answers_of_their_bytes(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), 0x1e_u8..0x24, 0x7d_u8..0x82], 0..40), byte: u8, limit in 0_u8..=128) {
            // A byte that the rest of the last word is filled with has another answer there.
            prop_assume!(byte != b'a' && limit <= b'a');
            prop_assert_eq!(super::any(&bytes, |word| has(word, byte)), bytes.contains(&byte));
            prop_assert_eq!(super::any(&bytes, |word| below(word, limit)), bytes.iter().any(|b| *b < limit));
        }
    }
}
