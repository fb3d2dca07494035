//! How many bytes DynamoDB counts, by
//! <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>.
//!
//! That page gives the size of numbers only approximately. [`number`] counts as Amazon's DynamoDB Local does,
//! and as <https://github.com/paritysuite/dynamodb-conformance> measured in AWS.

use std::collections::BTreeMap;

use super::{Attribute, Document, Number};

impl Document {
    /// Bytes of an item with exactly these attributes: names and values.
    pub fn item_bytes(&self) -> usize {
        attributes(&self.0)
    }
}

fn attributes(them: &BTreeMap<String, Attribute>) -> usize {
    them.iter().map(|(name, it)| name.len() + attribute(it)).sum()
}

fn attribute(it: &Attribute) -> usize {
    // For a list or a map, and for each element.
    const NESTED: usize = 3;
    const EACH: usize = 1;
    match it {
        Attribute::S(it) => it.len(),
        Attribute::N(it) => number(it),
        Attribute::B(it) => it.len(),
        Attribute::Bool(_) | Attribute::Null => 1,
        Attribute::L(them) => NESTED + them.iter().map(|it| EACH + attribute(it)).sum::<usize>(),
        Attribute::M(them) => NESTED + EACH * them.len() + attributes(them),
        Attribute::Ss(them) => them.iter().map(String::len).sum(),
        Attribute::Ns(them) => them.iter().map(number).sum(),
        Attribute::Bs(them) => them.iter().map(Vec::len).sum(),
    }
}

/// One byte for the exponent and one for two digits, paired from the point, without pairs of zeros at either
/// end. A negative number has one more. The maximum is 21.
fn number(number: &Number) -> usize {
    const MOST: usize = 21;
    let (negative, whole, fraction) = number.parts();
    let digits = || whole.bytes().chain(fraction.bytes());
    let is_some = |digit: u8| digit != b'0';
    let (Some(first), Some(last)) = (digits().position(is_some), digits().rev().position(is_some)) else {
        return 1;
    };
    let last = whole.len() + fraction.len() - 1 - last;
    let pair = |digit: usize| (digit + whole.len() % 2) / 2;
    (1 + pair(last) - pair(first) + 1 + usize::from(negative)).min(MOST)
}
