//! Names of other systems as names of ours.

use switchover::RouteKey;

/// The most characters of a route key.
const LONGEST: usize = 63;

/// A legal key that is as like a name as can be.
pub(super) fn key_of(name: &str) -> Option<RouteKey> {
    let mut key = String::new();
    let mut before = ' ';
    for letter in name.chars() {
        let begins =
            letter.is_ascii_uppercase() && (before.is_ascii_lowercase() || before.is_ascii_digit());
        if (begins || !letter.is_ascii_alphanumeric()) && !key.is_empty() && !key.ends_with('_') {
            key.push('_');
        }
        if letter.is_ascii_alphanumeric() {
            key.push(letter.to_ascii_lowercase());
        }
        before = letter;
    }
    if key.starts_with(|first: char| first.is_ascii_digit()) {
        key.insert_str(0, "f_");
    }
    let key: String = key.chars().take(LONGEST).collect();
    key.trim_end_matches('_').parse().ok()
}

/// The method of an endpoint for a key: `count_commits` gives `CountCommits`.
pub(super) fn method_of(key: &RouteKey) -> String {
    key.as_str()
        .split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().map(|first| first.to_ascii_uppercase());
            first.into_iter().chain(letters)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_legal_keys_and_methods() {
        for (name, key, method) in [
            ("count_commits", "count_commits", "CountCommits"),
            ("alternate.page", "alternate_page", "AlternatePage"),
            ("my-Feature--x", "my_feature_x", "MyFeatureX"),
            ("newUI2Flag", "new_ui2_flag", "NewUi2Flag"),
            ("2fa", "f_2fa", "F2fa"),
            ("_x_", "x", "X"),
            ("größe", "gr_e", "GrE"),
        ] {
            let proposed = key_of(name).unwrap();
            assert_eq!(proposed.as_str(), key, "{name}");
            assert_eq!(method_of(&proposed), method, "{name}");
        }
        assert_eq!(key_of("数"), None);
        assert_eq!(key_of(""), None);
        assert_eq!(key_of(&"a".repeat(200)).unwrap().as_str().len(), 63);
    }
}
