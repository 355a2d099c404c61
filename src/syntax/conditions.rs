//! The builder's part for conditions: filters, and what is before `=>` in a `case`.

use pest::iterators::Pair;

use super::ast::*;
use super::build::Builder;
use super::explain::Context;
use super::literal;
use super::parse::Rule;
use super::scan::MAX_DEPTH;
use crate::diagnostics::{Code, Diagnostic, Span};

impl Builder<'_> {
    pub(super) fn filter(&mut self, pair: Pair<'_, Rule>) -> Option<Filter> {
        let span = self.span(&pair);
        let group = self.group(pair)?;
        self.shallow(span, group.depth())?;
        Some(Filter { span, group })
    }

    /// Reports what has more groups within groups than a plan may have. Parentheses are counted by the scanner, but `and` within `or`
    /// makes groups without any.
    pub(super) fn shallow(&mut self, span: Span, depth: usize) -> Option<()> {
        if depth < MAX_DEPTH {
            return Some(());
        }
        let message = format!("conditions are nested more than {} deep", MAX_DEPTH - 1);
        self.diagnostics
            .push(Diagnostic::new(Code::D004, span, message, "too deep").help("write the conditions with fewer blocks and parentheses"));
        None
    }

    /// A `filter` or `group` pair: both hold a mode and conditions.
    fn group(&mut self, pair: Pair<'_, Rule>) -> Option<Group> {
        let span = self.span(&pair);
        let (mut mode, mut conditions, mut unread_conditions) = (None, Vec::new(), false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::mode => mode = Some(if part.as_str().trim_end() == "all" { Mode::All } else { Mode::Any }),
                Rule::conditions => {
                    for condition in part.into_inner() {
                        if condition.as_rule() == Rule::condition {
                            let condition = self.condition(condition);
                            unread_conditions |= condition.is_none();
                            conditions.extend(condition);
                        } else {
                            unread_conditions = true;
                            self.bad(&condition, Context::Condition);
                        }
                    }
                }
                _ => {}
            }
        }
        Some(Group { span, mode: mode?, conditions, unread_conditions })
    }

    /// A `condition` pair: conjunctions with `or` between them.
    pub(super) fn condition(&mut self, pair: Pair<'_, Rule>) -> Option<Condition> {
        self.joined(pair, Mode::Any, |builder, part| match part.as_rule() {
            Rule::conjunction | Rule::wide_conjunction => builder.conjunction(part).map(Some),
            _ => Some(None),
        })
    }

    /// A `conjunction` pair: conditions with `and` between them.
    fn conjunction(&mut self, pair: Pair<'_, Rule>) -> Option<Condition> {
        self.joined(pair, Mode::All, |builder, part| match part.as_rule() {
            Rule::negated => builder.negated(part).map(Some),
            _ => Some(None),
        })
    }

    /// The conditions in a pair as one: the only one as it is, several as a group. `None` if one could not be built.
    fn joined(
        &mut self,
        pair: Pair<'_, Rule>,
        mode: Mode,
        mut read: impl FnMut(&mut Self, Pair<'_, Rule>) -> Option<Option<Condition>>,
    ) -> Option<Condition> {
        let span = self.span(&pair);
        let read: Vec<Option<Option<Condition>>> = pair.into_inner().map(|part| read(self, part)).collect();
        let mut conditions: Vec<Condition> = read.into_iter().collect::<Option<Vec<_>>>()?.into_iter().flatten().collect();
        if conditions.len() == 1 {
            return conditions.pop();
        }
        let group = Group { span, mode, conditions, unread_conditions: false };
        Some(Condition { span, negated: false, kind: ConditionKind::Group(group) })
    }

    fn negated(&mut self, pair: Pair<'_, Rule>) -> Option<Condition> {
        let span = self.span(&pair);
        let mut negated = false;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::negation => negated = !negated,
                Rule::group => return Some(Condition { span, negated, kind: ConditionKind::Group(self.group(part)?) }),
                Rule::wrapped => {
                    let inner = self.condition(part.into_inner().find(|p| p.as_rule() == Rule::wide_condition)?)?;
                    return Some(Condition { span, negated: inner.negated != negated, kind: inner.kind });
                }
                Rule::comparison => {
                    let mut inner = part.into_inner();
                    let field = self.path(inner.next()?);
                    let test = self.test(inner.next()?)?;
                    return Some(Condition { span, negated, kind: ConditionKind::Test { field, test } });
                }
                _ => {}
            }
        }
        None
    }

    pub(super) fn test(&mut self, pair: Pair<'_, Rule>) -> Option<Test> {
        let rule = pair.as_rule();
        let mut values = Vec::new();
        let mut sign = None;
        let mut token = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::value | Rule::operand => values.push(self.value(part)?),
                Rule::operator | Rule::text_op => sign = Some(part.as_str().to_owned()),
                Rule::duration | Rule::string | Rule::constant => token = Some(part),
                _ => {}
            }
        }
        let mut values = values.into_iter();
        match rule {
            Rule::is_present => Some(Test::Present),
            Rule::is_empty => Some(Test::Empty),
            Rule::one_of => Some(Test::In(values.collect())),
            Rule::between => Some(Test::Between(values.next()?, values.next()?)),
            Rule::within => Some(Test::Within(self.literal(token?)?)),
            Rule::matches => {
                let token = token?;
                let value = LiteralValue::Text(self.or_fault(&token, Code::D012, literal::pattern(token.as_str().trim_end()))?);
                Some(Test::Matches(Literal { span: self.span(&token), value }))
            }
            Rule::text_test => {
                let words = sign?;
                let test = match words.split_whitespace().next()? {
                    "contains" => TextTest::Contains,
                    "starts" => TextTest::StartsWith,
                    _ => TextTest::EndsWith,
                };
                Some(Test::Text(test, values.next()?))
            }
            _ => {
                let relation = match sign?.as_str() {
                    "=" => Relation::Equal,
                    "!=" => Relation::NotEqual,
                    "<" => Relation::Less,
                    "<=" => Relation::LessOrEqual,
                    ">" => Relation::Greater,
                    _ => Relation::GreaterOrEqual,
                };
                Some(Test::Relation(relation, values.next()?))
            }
        }
    }

    /// A `case` pair.
    pub(super) fn case(&mut self, pair: Pair<'_, Rule>) -> Option<Case> {
        let span = self.span(&pair);
        let mut case = Case { span, branches: Vec::new(), unread_branches: false };
        for branch in pair.into_inner().find(|p| p.as_rule() == Rule::branches)?.into_inner() {
            if branch.as_rule() == Rule::branch {
                let branch = self.branch(branch);
                case.unread_branches |= branch.is_none();
                case.branches.extend(branch);
            } else {
                case.unread_branches = true;
                self.bad(&branch, Context::Branch);
            }
        }
        self.shallow(span, case.depth())?;
        Some(case)
    }

    fn branch(&mut self, pair: Pair<'_, Rule>) -> Option<Branch> {
        let span = self.span(&pair);
        let (mut condition, mut result, mut steps) = (None, None, Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::condition => condition = Some(self.condition(part)?),
                Rule::source => result = Some(self.source(part.into_inner().next()?)?),
                Rule::pipe_step => {
                    let step = part.into_inner().find(|p| p.as_rule() == Rule::step)?;
                    steps.push(self.step(step)?);
                }
                _ => {}
            }
        }
        Some(Branch { span, condition, result: result?, steps })
    }

    /// A `when` pair: its first block, those with `else when`, and the last one.
    pub(super) fn when(&mut self, pair: Pair<'_, Rule>) -> Option<When> {
        let span = self.span(&pair);
        let mut blocks = Vec::new();
        let (mut start, mut condition) = (span.start, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::kw_else => start = self.span(&part).start,
                Rule::condition => condition = Some(self.condition(part)?),
                Rule::when_block => {
                    let block = self.when_block(part, start, condition.take());
                    blocks.extend(block);
                }
                Rule::else_when => {
                    let start = self.span(&part).start;
                    let mut inner = part.into_inner();
                    let condition = self.condition(inner.find(|p| p.as_rule() == Rule::condition)?)?;
                    let block = inner.find(|p| p.as_rule() == Rule::when_block)?;
                    blocks.extend(self.when_block(block, start, Some(condition)));
                }
                _ => {}
            }
        }
        let depth = blocks.iter().filter_map(|block: &WhenBlock| block.condition.as_ref()).map(Condition::depth).max();
        self.shallow(span, depth.unwrap_or(0))?;
        Some(When { span, blocks })
    }

    fn when_block(&mut self, pair: Pair<'_, Rule>, start: u32, condition: Option<Condition>) -> Option<WhenBlock> {
        let span = Span { start, ..self.span(&pair) };
        let (mut fields, mut unread_fields) = (Vec::new(), false);
        for line in pair.into_inner().find(|p| p.as_rule() == Rule::when_body)?.into_inner() {
            if line.as_rule() == Rule::field {
                let field = self.field(line);
                unread_fields |= field.is_none();
                fields.extend(field);
            } else {
                unread_fields = true;
                self.bad(&line, Context::Entry);
            }
        }
        Some(WhenBlock { span, condition, fields, unread_fields })
    }
}
