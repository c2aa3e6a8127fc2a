//! Nulls and defaults, as the API server treats them before it judges an object.
//! Never changes a value that is there.

use serde_json::{Map, Value};

/// The object without nulls where none may be, and with every default filled in.
pub(super) fn fill(schema: &Value, value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fill_fields(schema, fields)),
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            items.iter().map(|item| fill(schema, item)).collect()
        }
        other => other.clone(),
    }
}

fn fill_fields(schema: &Value, fields: &Map<String, Value>) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let values = schema.get("additionalProperties");
    let mut whole = Map::new();
    for (name, value) in fields {
        let field = properties.and_then(|all| all.get(name)).or(values);
        match field {
            // A null says nothing where none may be: the default may say something, below.
            Some(_) if value.is_null() => {}
            Some(field) => {
                whole.insert(name.clone(), fill(field, value));
            }
            None => {
                whole.insert(name.clone(), value.clone());
            }
        }
    }
    for (name, field) in properties.into_iter().flatten() {
        if let Some(default) = field.get("default")
            && !whole.contains_key(name)
        {
            whole.insert(name.clone(), fill(field, default));
        }
    }
    whole
}
