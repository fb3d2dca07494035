//! `GET /api/v1`: what can be called, with what, from the proto and its comments.

use std::collections::{BTreeMap, HashMap};

use prost_reflect::{EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::methods::{self, Methods};

/// All methods, and the messages and enums that they use.
pub(super) fn of(methods: &Methods) -> Value {
    let mut all = All::default();
    let methods: Vec<Value> = methods.iter().map(|(name, method)| all.method(name, method)).collect();
    json!({
        "methods": methods,
        "messages": all.messages.into_iter().collect::<Map<_, _>>(),
        "enums": all.enums.into_iter().collect::<Map<_, _>>(),
        "documentation": "docs/api.md",
    })
}

#[derive(Default)]
struct All {
    messages: BTreeMap<String, Value>,
    enums: BTreeMap<String, Value>,
    /// By file, then by the path of what they describe.
    comments: HashMap<String, HashMap<Vec<i32>, String>>,
}

impl All {
    fn method(&mut self, name: &str, method: &methods::Method) -> Value {
        let descriptor = &method.descriptor;
        let verbs: &[&str] = match method.kind {
            methods::Kind::Read => &["GET", "POST"],
            methods::Kind::Change => &["POST"],
            methods::Kind::Stream => &["GET"],
        };
        self.message(&descriptor.input());
        self.message(&descriptor.output());
        json!({
            "name": name,
            "path": format!("/api/v1/{name}"),
            "verbs": verbs,
            "event_stream": method.kind == methods::Kind::Stream,
            "request": descriptor.input().name(),
            "answer": descriptor.output().name(),
            "comment": self.comment(&descriptor.parent_service().parent_file(), descriptor.path()),
        })
    }

    fn message(&mut self, message: &MessageDescriptor) {
        if self.messages.contains_key(message.name()) {
            return;
        }
        self.messages.insert(message.name().to_owned(), Value::Null);
        let fields: Vec<Value> = message.fields().map(|field| self.field(&field)).collect();
        self.messages.insert(message.name().to_owned(), fields.into());
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let kind = match field.kind() {
            Kind::Message(message) => {
                self.message(&message);
                message.name().to_owned()
            }
            Kind::Enum(kind) => {
                self.enumeration(&kind);
                kind.name().to_owned()
            }
            scalar => format!("{scalar:?}").to_lowercase(),
        };
        json!({
            "name": field.name(),
            "type": kind,
            "repeated": field.is_list(),
            "may_be_absent": field.supports_presence(),
            "comment": self.comment(&field.parent_message().parent_file(), field.path()),
        })
    }

    fn enumeration(&mut self, kind: &EnumDescriptor) {
        let values: Vec<Value> = kind
            .values()
            .map(|value| {
                let comment = self.comment(&kind.parent_file(), value.path());
                json!({ "name": value.name(), "comment": comment })
            })
            .collect();
        self.enums.insert(kind.name().to_owned(), values.into());
    }

    /// What the proto says of it, in one line.
    fn comment(&mut self, file: &FileDescriptor, path: &[i32]) -> String {
        let comments = self.comments.entry(file.name().to_owned()).or_insert_with(|| comments(file));
        comments.get(path).cloned().unwrap_or_default()
    }
}

fn comments(file: &FileDescriptor) -> HashMap<Vec<i32>, String> {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let locations = info.map_or(&[][..], |info| &info.location);
    let text = |location: &prost_types::source_code_info::Location| {
        let both = [location.leading_comments(), location.trailing_comments()].join(" ");
        both.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    locations.iter().map(|location| (location.path.clone(), text(location))).collect()
}
