//! What docs/delivery.md tells people to do, word for word.

use std::fs;
use std::path::Path;

/// The blocks of one of its sections.
#[derive(Debug)]
pub struct Section {
    blocks: Vec<(String, String)>,
}

impl Section {
    /// Of this heading. Panics where there is none.
    pub fn of(heading: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/delivery.md");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let begins = format!("\n## {heading}\n");
        let (_, rest) = text.split_once(&begins).unwrap_or_else(|| panic!("the page has no section {heading}"));
        let section = rest.split("\n## ").next().unwrap_or_default();
        let mut blocks = Vec::new();
        // What stands between two fences is a block at every second place.
        for block in section.split("```").skip(1).step_by(2) {
            let (language, text) = block.split_once('\n').unwrap_or((block, ""));
            blocks.push((language.to_owned(), text.to_owned()));
        }
        Self { blocks }
    }

    /// The first block in YAML.
    pub fn yaml(&self) -> &str {
        self.block("yaml")
    }

    /// The commands of the first console block, without prompts; one that goes on behind a backslash is one.
    pub fn commands(&self) -> Vec<String> {
        let mut commands: Vec<String> = Vec::new();
        for line in self.block("console").lines() {
            match (line.strip_prefix("$ ").or_else(|| line.strip_prefix("# ")), commands.last_mut()) {
                (Some(begins), _) => commands.push(begins.to_owned()),
                (None, Some(last)) => {
                    last.push('\n');
                    last.push_str(line);
                }
                (None, None) => panic!("no prompt before {line}"),
            }
        }
        commands
    }

    fn block(&self, language: &str) -> &str {
        let found = self.blocks.iter().find(|(of, _)| of == language);
        found.map_or_else(|| panic!("no {language} block among {:?}", self.blocks), |(_, text)| text.as_str())
    }
}
