//! Errors of the controller and of connections to it, in words.

use std::error::Error;

use tonic::{Code, Status};

/// A status in words that say what to do.
pub(crate) fn explain(status: &Status) -> String {
    let message = match (status.message(), status.source()) {
        ("", Some(source)) => source.to_string(),
        (message, _) => message.to_owned(),
    };
    let hint = match status.code() {
        Code::Unimplemented => "; what listens there is no Cutover controller: is this its gRPC port?",
        // A peer that does not speak HTTP/2 looks like this. So does a controller that ends, except that the
        // connection was there before.
        Code::Internal | Code::Unknown | Code::Cancelled if message.contains("reading a body") => {
            return format!("the connection to the controller broke ({message})");
        }
        Code::Internal | Code::Unknown | Code::Cancelled => "; is this the controller's gRPC port?",
        _ => "",
    };
    format!("{:?}: {message}{hint}", status.code())
}

/// An error with its causes, on one line.
pub(crate) fn describe(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_with_its_causes_once_each() {
        let cause = std::io::Error::other("refused");
        let ended = std::io::Error::other(cause);
        assert_eq!(describe(&ended), "refused");
    }
}
