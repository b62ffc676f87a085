//! Addresses of a list's pages: the filters that are set, and a cursor.

/// A query from what is set of it, in order; empty without any.
pub(crate) fn query(parts: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in parts.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() {
        query
    } else {
        format!("?{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::query;

    #[test]
    fn only_what_is_set_is_in_the_address() {
        assert_eq!(query(&[("q", ""), ("stage", "")]), "");
        assert_eq!(
            query(&[("q", "a b&c"), ("stage", "opt_in")]),
            "?q=a+b%26c&stage=opt_in"
        );
    }
}
