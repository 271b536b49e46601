//! A JSON Schema (2020-12) from the tables of keys, for editors that complete and check YAML. Each table is written once,
//! under `$defs`, and referred to from where it is used.

use serde_json::{Map, Value, json};

use super::keys::{Choice, Kind, State, Table};

/// Schemas of tables by name.
type Definitions = Map<String, Value>;

/// The schema of a whole file.
pub fn of_file(table: &'static Table, title: &str) -> Value {
    let mut definitions = Definitions::new();
    let mut schema = of_table(table, &mut definitions);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!(title);
    schema["$defs"] = Value::Object(definitions);
    schema
}

fn of_table(table: &'static Table, definitions: &mut Definitions) -> Value {
    let mut properties = Map::new();
    for key in table.keys.iter().filter(|key| key.is_usable()) {
        let mut property = of_kind(&key.kind, definitions);
        // The key says more than what its value is in general.
        property["description"] = json!(key.doc);
        properties.insert(key.name.to_owned(), property);
    }
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.state == State::Required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "description": table.doc,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !table.one_of.is_empty() {
        schema["anyOf"] = table.one_of.iter().map(|name| json!({ "required": [name] })).collect();
    }
    schema
}

/// `a bound on `count`` as `a-bound-on-count`: fit for a reference without escapes.
fn name_of(table: &Table) -> String {
    let words = table.what.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn reference(table: &'static Table, definitions: &mut Definitions) -> Value {
    let name = name_of(table);
    if !definitions.contains_key(&name) {
        // Its place is taken before its own tables are looked at, so that a table may hold itself.
        definitions.insert(name.clone(), Value::Null);
        let schema = of_table(table, definitions);
        definitions.insert(name.clone(), schema);
    }
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn of_kind(kind: &Kind, definitions: &mut Definitions) -> Value {
    match kind {
        Kind::Form(form) => {
            let mut schema = json!({ "type": "string", "examples": form.examples });
            match form.pattern {
                Some(pattern) => schema["pattern"] = json!(pattern),
                None => schema["type"] = json!(["string", "number"]),
            }
            // A plain number in the place of a text is taken as it is written.
            if form.examples.iter().any(|example| example.parse::<f64>().is_ok()) {
                schema["type"] = json!(["string", "number"]);
            }
            schema
        }
        Kind::Choice(choices) => {
            let usable = |choice: &&Choice| choice.state == State::Optional;
            let words: Vec<Value> = choices
                .iter()
                .filter(usable)
                .map(|choice| json!({ "const": choice.word, "description": choice.doc }))
                .collect();
            json!({ "oneOf": words })
        }
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Whole(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Kind::OneOrMany(kind) => {
            let one = of_kind(kind, definitions);
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
        Kind::List(kind) => json!({ "type": "array", "items": of_kind(kind, definitions), "minItems": 1 }),
        Kind::Names(kind) => json!({ "type": "array", "items": of_kind(kind, definitions) }),
        Kind::Table(table) => reference(table, definitions),
        Kind::Named(name, kind) => {
            let names = name.pattern.map_or_else(|| json!(true), |pattern| json!({ "pattern": pattern }));
            let values = of_kind(kind, definitions);
            json!({ "type": "object", "propertyNames": names, "additionalProperties": values })
        }
    }
}
