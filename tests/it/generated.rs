//! Files with parts that follow from the code are as `cargo xtask generate` writes them.

use std::path::Path;

#[path = "../../xtask/src/generate.rs"]
mod generate;

#[test]
fn generated_parts_are_as_the_code_has_them() {
    for file in generate::FILES {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file.path);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", file.path));
        let fresh = (file.write)(&text).unwrap_or_else(|e| panic!("{}: {e}", file.path));
        assert!(fresh == text, "{} differs from the code: run `cargo xtask generate`", file.path);
    }
}
