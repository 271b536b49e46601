//! A JSON Schema (2020-12) from the tables of keys, for editors that complete and check YAML.

use serde_json::{Map, Value, json};

use super::keys::{Choice, Kind, State, Table};

/// The schema of a whole file.
pub fn of_file(table: &'static Table, title: &str) -> Value {
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!(title));
    if let Value::Object(object) = of_table(table) {
        schema.extend(object);
    }
    Value::Object(schema)
}

fn of_table(table: &'static Table) -> Value {
    let mut properties = Map::new();
    for key in table.keys.iter().filter(|key| key.is_usable()) {
        let mut property = of_kind(&key.kind);
        if let Value::Object(object) = &mut property {
            // The key says more than the table that its value is.
            object.insert("description".to_owned(), json!(key.doc));
        }
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

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Form(form) => {
            let mut schema = json!({ "type": "string", "examples": form.examples });
            match form.pattern {
                Some(pattern) => schema["pattern"] = json!(pattern),
                // A plain number in the place of a text is taken as it is written.
                None => schema["type"] = json!(["string", "number"]),
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
            let one = of_kind(kind);
            json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
        }
        Kind::List(kind) => json!({ "type": "array", "items": of_kind(kind), "minItems": 1 }),
        Kind::Table(table) => of_table(table),
        Kind::Named(name, kind) => {
            let names = name.pattern.map_or_else(|| json!(true), |pattern| json!({ "pattern": pattern }));
            json!({ "type": "object", "propertyNames": names, "additionalProperties": of_kind(kind) })
        }
    }
}
