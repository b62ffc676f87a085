//! What of a file's language matters: how it writes strings, symbols and scalars.

use std::path::Path;

/// How names stand in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Syntax {
    /// In double or single quotes.
    #[default]
    Plain,
    /// The same; routes are asked for by the SDK.
    Rust,
    /// Also in backticks.
    Backticks,
    /// Also as `:symbol`.
    Symbols,
    /// Also bare, as a key or a value.
    Yaml,
    /// Also bare, as a key.
    Toml,
    /// Nothing in it runs: what stands there is no use.
    Prose,
}

impl Syntax {
    /// By the name of the file.
    #[must_use]
    pub fn of(path: &Path) -> Syntax {
        let name = path.file_name().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default().to_ascii_lowercase();
        // Every route of a release is in it, and it is made, not written.
        if name.ends_with("switchover.manifest.json") {
            return Syntax::Prose;
        }
        let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
        match kind {
            "rs" => Syntax::Rust,
            "js" | "cjs" | "mjs" | "jsx" | "ts" | "cts" | "mts" | "tsx" | "vue" | "svelte"
            | "go" => Syntax::Backticks,
            "rb" | "rake" | "gemspec" | "erb" | "haml" | "slim" | "cr" | "ex" | "exs" | "eex"
            | "heex" => Syntax::Symbols,
            "yaml" | "yml" => Syntax::Yaml,
            "toml" => Syntax::Toml,
            "md" | "markdown" | "mdx" | "rst" | "adoc" | "asciidoc" => Syntax::Prose,
            _ if name == "rakefile" || name == "gemfile" => Syntax::Symbols,
            _ => Syntax::Plain,
        }
    }
}
