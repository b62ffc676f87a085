//! `NAME=VALUE` arguments.

use std::collections::BTreeMap;

/// A name and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    name: String,
    value: String,
}

/// Reads one; the value may be empty or hold a `=`.
pub(crate) fn parse(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(Pair {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        _ => Err("is not NAME=VALUE".to_owned()),
    }
}

/// As a JSON object takes them; the last of a name counts.
pub(crate) fn map(pairs: &[Pair]) -> BTreeMap<&str, &str> {
    pairs
        .iter()
        .map(|pair| (pair.name.as_str(), pair.value.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read() {
        let pairs = ["A=1", "B=", "C=x=y", "A=2"].map(|text| parse(text).unwrap());
        let map = map(&pairs);
        assert_eq!(
            map.into_iter().collect::<Vec<_>>(),
            [("A", "2"), ("B", ""), ("C", "x=y")]
        );
        assert!(parse("A").is_err() && parse("=1").is_err() && parse("").is_err());
    }
}
