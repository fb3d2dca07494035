//! Converts attributes between DynamoDB's client and documents: the same types under two names.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use crate::document::{Attribute, Document, DocumentError, Fault};

/// From a document, whose sets are never empty.
pub(super) fn to_value(attribute: Attribute) -> AttributeValue {
    match attribute {
        Attribute::S(it) => AttributeValue::S(it),
        Attribute::N(it) => AttributeValue::N(it.to_string()),
        Attribute::B(it) => AttributeValue::B(Blob::new(it)),
        Attribute::Bool(it) => AttributeValue::Bool(it),
        Attribute::Null => AttributeValue::Null(true),
        Attribute::L(them) => AttributeValue::L(them.into_iter().map(to_value).collect()),
        Attribute::M(them) => {
            AttributeValue::M(them.into_iter().map(|(name, it)| (name, to_value(it))).collect())
        }
        Attribute::Ss(them) => AttributeValue::Ss(them.into_iter().collect()),
        Attribute::Ns(them) => AttributeValue::Ns(them.into_iter().map(|it| it.to_string()).collect()),
        Attribute::Bs(them) => AttributeValue::Bs(them.into_iter().map(Blob::new).collect()),
    }
}

/// From an item's attributes, without the fields.
pub(super) fn to_document(
    attributes: impl IntoIterator<Item = (String, AttributeValue)>,
) -> Result<Document, DocumentError> {
    let each = |(name, value): (String, AttributeValue)| match to_attribute(value) {
        Ok(attribute) => Ok((name, attribute)),
        Err(error) => Err(error.under(&name)),
    };
    attributes.into_iter().map(each).collect::<Result<_, _>>().map(Document)
}

pub(super) fn to_attribute(value: AttributeValue) -> Result<Attribute, DocumentError> {
    let number = |digits: String| digits.parse().map_err(|error| DocumentError::from(Fault::Number(error)));
    Ok(match value {
        AttributeValue::S(it) => Attribute::S(it),
        AttributeValue::N(digits) => Attribute::N(number(digits)?),
        AttributeValue::B(it) => Attribute::B(it.into_inner()),
        AttributeValue::Bool(it) => Attribute::Bool(it),
        AttributeValue::Null(_) => Attribute::Null,
        AttributeValue::L(them) => {
            Attribute::L(them.into_iter().map(to_attribute).collect::<Result<_, _>>()?)
        }
        AttributeValue::M(them) => Attribute::M(to_document(them)?.0),
        AttributeValue::Ss(them) => Attribute::Ss(them.into_iter().collect()),
        AttributeValue::Ns(them) => Attribute::Ns(them.into_iter().map(number).collect::<Result<_, _>>()?),
        AttributeValue::Bs(them) => Attribute::Bs(them.into_iter().map(Blob::into_inner).collect()),
        _ => {
            return Err(
                Fault::UnknownType("a type of attribute that this version does not know".to_owned()).into()
            );
        }
    })
}
