//! A table of 3,000 industries for all engines: a file for d365map, a variable for jaq, and for vrl a function, as a program that embeds
//! vrl gives it its tables.

use std::collections::HashMap;
use std::sync::LazyLock;

use vrl::compiler::prelude::*;

/// The rows.
const ROWS: usize = 3_000;

/// The codes and labels of the industries.
pub fn rows() -> impl Iterator<Item = (String, String)> {
    (0..ROWS).map(|n| (format!("K{n:04}"), format!("Industry number {n}")))
}

static TABLE: LazyLock<HashMap<Bytes, Bytes>> = LazyLock::new(|| rows().map(|(code, label)| (code.into(), label.into())).collect());

/// `industry(code)`: the label of an industry, or null.
#[derive(Clone, Copy, Debug)]
pub struct Industry;

impl Function for Industry {
    fn identifier(&self) -> &'static str {
        "industry"
    }

    fn usage(&self) -> &'static str {
        "Looks up the label of an industry."
    }

    fn category(&self) -> &'static str {
        Category::String.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::BYTES | kind::NULL
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[Parameter::required("code", kind::BYTES, "The code.")];
        PARAMETERS
    }

    fn compile(&self, _: &state::TypeState, _: &mut FunctionCompileContext, arguments: ArgumentList) -> Compiled {
        Ok(IndustryFn { code: arguments.required("code") }.as_expr())
    }
}

#[derive(Clone, Debug)]
struct IndustryFn {
    code: Box<dyn Expression>,
}

impl FunctionExpression for IndustryFn {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let code = self.code.resolve(ctx)?.try_bytes()?;
        Ok(TABLE.get(&code).map_or(Value::Null, |label| Value::Bytes(label.clone())))
    }

    fn type_def(&self, _: &state::TypeState) -> TypeDef {
        TypeDef::bytes().or_null().infallible()
    }
}
