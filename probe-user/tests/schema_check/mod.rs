//! The part of JSON Schema that the policy schema uses, held against a YAML tree as an editor would do it. A keyword that
//! is not known here is an error, so that the check cannot silently get weaker.

use std::collections::BTreeMap;
use std::sync::Mutex;

use probe_user::yaml::{Node, Value as Yaml};
use serde_json::{Map, Value, json};

/// Every place where the tree does not fit, as `path: reason`.
pub(crate) fn errors(schema: &Value, tree: &Node) -> Vec<String> {
    let mut errors = Vec::new();
    Check { root: schema }.check(schema, &to_json(tree), "", &mut errors);
    errors
}

/// The whole schema, for what refers to it.
struct Check<'s> {
    root: &'s Value,
}

/// As YAML 1.2 reads it: plain scalars may be numbers, booleans or nothing.
fn to_json(node: &Node) -> Value {
    match &node.value {
        Yaml::List(items) => items.iter().map(to_json).collect(),
        Yaml::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.value))).collect())
        }
        Yaml::Scalar(_) if node.is_nothing() => Value::Null,
        Yaml::Scalar(scalar) if scalar.plain => match (&*scalar.text, scalar.text.parse::<i64>()) {
            ("true", _) => json!(true),
            ("false", _) => json!(false),
            (_, Ok(number)) => json!(number),
            (text, _) => text.parse::<f64>().map_or_else(|_| json!(text), |number| json!(number)),
        },
        Yaml::Scalar(scalar) => json!(scalar.text),
    }
}

impl Check<'_> {
    fn check(&self, schema: &Value, value: &Value, path: &str, errors: &mut Vec<String>) {
        let Value::Object(schema) = schema else {
            assert_eq!(schema, &json!(true), "a schema is an object or true");
            return;
        };
        for (keyword, wanted) in schema {
            let fits = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "examples" => true,
                "$ref" => {
                    let name = wanted.as_str().expect("a reference").strip_prefix("#/$defs/").expect("a definition");
                    self.check(&self.root["$defs"][name], value, path, errors);
                    true
                }
                "type" => types(wanted).iter().any(|name| is_a(name, value)),
                "const" => value == wanted,
                "minimum" => value.as_f64() >= wanted.as_f64(),
                "maximum" => value.as_f64() <= wanted.as_f64(),
                "minItems" => {
                    value.as_array().is_none_or(|items| wanted.as_u64().is_some_and(|least| count(items) >= least))
                }
                "pattern" => value.as_str().is_none_or(|text| matches(wanted, text)),
                "required" => object(value).is_none_or(|object| {
                    wanted
                        .as_array()
                        .expect("a list")
                        .iter()
                        .all(|name| object.contains_key(name.as_str().expect("a name")))
                }),
                "anyOf" => alternatives(wanted).iter().any(|of| self.fits(of, value)),
                "oneOf" => alternatives(wanted).iter().filter(|of| self.fits(of, value)).count() == 1,
                "propertyNames" => {
                    object(value).is_none_or(|object| object.keys().all(|key| self.fits(wanted, &json!(key))))
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(wanted, item, &format!("{path}/{index}"), errors);
                    }
                    true
                }
                "properties" => {
                    for (key, inner) in object(value).into_iter().flatten() {
                        if let Some(schema) = wanted.get(key) {
                            self.check(schema, inner, &format!("{path}/{key}"), errors);
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let known = |key: &String| schema.get("properties").is_some_and(|all| all.get(key).is_some());
                    let others = object(value).into_iter().flatten().filter(|(key, _)| !known(key));
                    let mut fits = true;
                    for (key, inner) in others {
                        if wanted == &json!(false) {
                            fits = false;
                        } else {
                            self.check(wanted, inner, &format!("{path}/{key}"), errors);
                        }
                    }
                    fits
                }
                other => panic!("the check does not know the keyword {other}"),
            };
            if !fits {
                errors.push(format!("{path}: {keyword} of {value}"));
            }
        }
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut errors = Vec::new();
        self.check(schema, value, "", &mut errors);
        errors.is_empty()
    }
}

fn types(wanted: &Value) -> Vec<&str> {
    match wanted {
        Value::Array(names) => names.iter().map(|name| name.as_str().expect("a name")).collect(),
        name => vec![name.as_str().expect("a name")],
    }
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the check does not know the type {other}"),
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    /// Compiling one takes a thousand times as long as asking it.
    static COMPILED: Mutex<BTreeMap<String, regex::Regex>> = Mutex::new(BTreeMap::new());
    // An editor's engine knows lookahead, this one does not; all that it says is "not empty".
    let pattern = pattern.as_str().expect("a pattern").replace("(?=.)", "");
    let mut compiled = COMPILED.lock().expect("nobody panicked");
    let regex = compiled.entry(pattern).or_insert_with_key(|pattern| regex::Regex::new(pattern).expect("a pattern"));
    !text.is_empty() && regex.is_match(text)
}

fn alternatives(wanted: &Value) -> &[Value] {
    wanted.as_array().expect("a list")
}

fn object(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

fn count(items: &[Value]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}
