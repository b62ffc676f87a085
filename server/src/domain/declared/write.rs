//! A declaration as text: the same state gives the same bytes.

use crate::domain::declared::Declared;

/// Longer lines are not folded: a fold is hard to review.
const NEVER_FOLDED: usize = 1_000_000;

impl Declared {
    /// As YAML. Words that older readers of YAML take for something else, such as `off`, are quoted.
    ///
    /// # Errors
    /// When something in it has no form in YAML.
    pub fn to_yaml(&self) -> Result<String, String> {
        let options = serde_saphyr::ser_options! {
            compact_list_indent: false,
            folded_wrap_chars: NEVER_FOLDED,
        };
        serde_saphyr::to_string_with_options(self, options).map_err(|error| error.to_string())
    }

    /// As JSON, over several lines.
    ///
    /// # Errors
    /// When something in it has no form in JSON.
    pub fn to_json(&self) -> Result<String, String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        Ok(text + "\n")
    }
}
