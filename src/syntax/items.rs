//! The builder's second half: constants, shared tables, includes, tests, opt-out and event blocks.

use pest::iterators::Pair;

use super::ast::*;
use super::build::Builder;
use super::explain::Context;
use super::parse::Rule;

impl Builder<'_> {
    /// Any top-level item but a mapping.
    pub(super) fn item(&mut self, pair: Pair<'_, Rule>, tree: &mut File) {
        match pair.as_rule() {
            Rule::constant_item => {
                let item = self.constant_item(pair);
                tree.constants.extend(item);
            }
            Rule::include => {
                let item = self.include(pair);
                tree.includes.extend(item);
            }
            Rule::shared => {
                let item = self.shared(pair);
                tree.tables.extend(item);
            }
            Rule::lookup_table => {
                let item = self.lookup_table(pair);
                tree.lookups.extend(item);
            }
            Rule::optout => {
                let item = self.optout(pair);
                tree.optouts.extend(item);
            }
            Rule::events => {
                let item = self.events(pair);
                tree.events.extend(item);
            }
            Rule::test => {
                let item = self.test_block(pair);
                tree.tests.extend(item);
            }
            _ => {}
        }
    }

    fn constant_item(&mut self, pair: Pair<'_, Rule>) -> Option<Constant> {
        let span = self.span(&pair);
        let name = self.name_in(pair.clone())?;
        let literal = pair.into_inner().find(|p| p.as_rule() == Rule::literal)?;
        let value = self.literal(literal.into_inner().next()?)?;
        Some(Constant { span, name, value })
    }

    fn include(&mut self, pair: Pair<'_, Rule>) -> Option<Include> {
        let span = self.span(&pair);
        let path = pair.into_inner().find(|p| p.as_rule() == Rule::string)?;
        Some(Include { span, path: self.literal(path)? })
    }

    fn shared(&mut self, pair: Pair<'_, Rule>) -> Option<SharedTable> {
        let span = self.span(&pair);
        let name = self.name_in(pair.clone())?;
        let (arms, unread_arms) = self.arms(pair.into_inner().find(|p| p.as_rule() == Rule::arms)?);
        Some(SharedTable { span, name, arms, unread_arms })
    }

    fn lookup_table(&mut self, pair: Pair<'_, Rule>) -> Option<LookupTable> {
        let span = self.span(&pair);
        let name = self.name_in(pair.clone())?;
        let (mut texts, mut keys, mut unread) = (Vec::new(), Vec::new(), false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::string => texts.push(self.literal(part)?),
                Rule::table_lines => {
                    for line in part.into_inner() {
                        if line.as_rule() == Rule::table_key {
                            let span = self.span(&line);
                            let columns = line.into_inner().filter(|p| p.as_rule() == Rule::ident).map(|p| self.ident(&p)).collect();
                            keys.push(TableKey { span, columns });
                        } else {
                            unread = true;
                            self.bad(&line, Context::TableLine);
                        }
                    }
                }
                _ => {}
            }
        }
        let mut texts = texts.into_iter();
        Some(LookupTable { span, name, path: texts.next()?, sheet: texts.next(), keys, unread })
    }

    fn optout(&mut self, pair: Pair<'_, Rule>) -> Option<Optout> {
        let span = self.span(&pair);
        let mapping = self.name_in(pair.clone())?;
        let mut block = Optout { span, mapping, directions: Vec::new(), pairs: Vec::new(), unread: false };
        for line in pair.into_inner().find(|p| p.as_rule() == Rule::pairs)?.into_inner() {
            match line.as_rule() {
                Rule::direction => {
                    let span = self.span(&line);
                    let mut words = line.into_inner();
                    let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
                    block.directions.push(Setting { span, name: self.ident(&name), value: self.ident(&value), every: None });
                }
                Rule::pair => {
                    let pair = self.pair(line);
                    block.unread |= pair.is_none();
                    block.pairs.extend(pair);
                }
                _ => {
                    block.unread = true;
                    self.bad(&line, Context::Pair);
                }
            }
        }
        Some(block)
    }

    fn pair(&mut self, pair: Pair<'_, Rule>) -> Option<OptoutPair> {
        let span = self.span(&pair);
        let (mut paths, mut subscription, mut inverted, mut cases) = (Vec::new(), None, false, None);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path => paths.push(self.path(part)),
                Rule::subscription => {
                    let span = self.span(&part);
                    let name = part.into_inner().find(|p| p.as_rule() == Rule::string)?;
                    subscription = Some(OptoutTarget::Subscription(Subscription { span, name: self.literal(name)? }));
                }
                Rule::negation => inverted = true,
                Rule::pair_cases => {
                    let span = self.span(&part);
                    let list = part.into_inner().find(|p| p.as_rule() == Rule::arms)?;
                    let (arms, unread) = self.arms(list);
                    cases = Some(Cases { span, arms, unread });
                }
                _ => {}
            }
        }
        let mut paths = paths.into_iter();
        let source = paths.next()?;
        let target = subscription.or_else(|| paths.next().map(OptoutTarget::Attribute))?;
        Some(OptoutPair { span, source, inverted, target, cases })
    }

    fn events(&mut self, pair: Pair<'_, Rule>) -> Option<Events> {
        let span = self.span(&pair);
        let name = self.name_in(pair.clone())?;
        let (mut tables, mut settings, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::table => tables.push(self.table(part)?),
                Rule::event_lines => {
                    for line in part.into_inner() {
                        match line.as_rule() {
                            Rule::setting => settings.extend(self.setting(line)),
                            Rule::field => fields.extend(self.field(line)),
                            _ => self.bad(&line, Context::Event),
                        }
                    }
                }
                _ => {}
            }
        }
        let mut tables = tables.into_iter();
        Some(Events { span, name, source: tables.next()?, target: tables.next()?, settings, fields })
    }

    /// A block of linked records.
    pub(super) fn linked(&mut self, pair: Pair<'_, Rule>) -> Option<Linked> {
        let span = self.span(&pair);
        let (mut kind, mut keyword, mut paths, mut table, mut or) = (LinkedKind::Record, span, Vec::new(), None, None);
        let (mut keys, mut fields, mut unread) = (Vec::new(), Vec::new(), false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::kw_link => keyword = self.span(&part),
                Rule::kw_rows => (kind, keyword) = (LinkedKind::Rows, self.span(&part)),
                Rule::path => paths.push(self.path(part)),
                Rule::table => table = self.table(part),
                Rule::ident => or = Some(self.ident(&part)),
                Rule::linked_lines => {
                    for line in part.into_inner() {
                        let known = match line.as_rule() {
                            Rule::key => self.key(line).map(|key| keys.push(key)),
                            Rule::field => self.field(line).map(|field| fields.push(field)),
                            _ => {
                                self.bad(&line, Context::Entry);
                                None
                            }
                        };
                        unread |= known.is_none();
                    }
                }
                _ => {}
            }
        }
        let mut paths = paths.into_iter();
        Some(Linked { span, kind, keyword, path: paths.next()?, table: table?, by: paths.collect(), or, keys, fields, unread })
    }

    fn test_block(&mut self, pair: Pair<'_, Rule>) -> Option<TestBlock> {
        let span = self.span(&pair);
        let mapping = self.name_in(pair.clone())?;
        let title = pair.clone().into_inner().find(|p| p.as_rule() == Rule::string)?;
        let title = self.literal(title)?;
        let mut block = TestBlock { span, mapping, title, clauses: Vec::new(), unread: false };
        for line in pair.into_inner().find(|p| p.as_rule() == Rule::clauses)?.into_inner() {
            let clause = match line.as_rule() {
                Rule::given | Rule::expect | Rule::clock => self.clause(line, &mut block.unread),
                _ => {
                    self.bad(&line, Context::Clause);
                    None
                }
            };
            block.unread |= clause.is_none();
            block.clauses.extend(clause);
        }
        Some(block)
    }

    fn clause(&mut self, pair: Pair<'_, Rule>, unread: &mut bool) -> Option<Clause> {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let mut system = None;
        let mut inner = pair.into_inner().filter(|p| !matches!(p.as_rule(), Rule::kw_given | Rule::kw_expect | Rule::kw_now | Rule::open));
        match rule {
            Rule::clock => Some(Clause::Clock { span, at: self.literal(inner.next()?)? }),
            Rule::given => {
                let values = inner.find(|p| {
                    if p.as_rule() == Rule::ident {
                        system = Some(self.ident(p));
                    }
                    p.as_rule() == Rule::values
                })?;
                Some(Clause::Given { span, system, values: self.assignments(values, unread) })
            }
            _ => {
                let inner = inner.next()?;
                let kind = match inner.as_rule() {
                    Rule::expect_filtered => Expectation::Filtered,
                    Rule::expect_rejected => {
                        let code = inner.into_inner().find(|p| p.as_rule() == Rule::string);
                        let code = match code {
                            Some(code) => Some(self.literal(code)?),
                            None => None,
                        };
                        Expectation::Rejected(code)
                    }
                    _ => {
                        let values = inner.into_inner().find(|p| {
                            if p.as_rule() == Rule::ident {
                                system = Some(self.ident(p));
                            }
                            p.as_rule() == Rule::values
                        })?;
                        Expectation::Mapped(self.assignments(values, unread))
                    }
                };
                Some(Clause::Expect { span, system, kind })
            }
        }
    }

    fn assignments(&mut self, pair: Pair<'_, Rule>, unread: &mut bool) -> Vec<Assignment> {
        let mut values = Vec::new();
        for line in pair.into_inner() {
            match line.as_rule() {
                Rule::assignment | Rule::list_item => {
                    let assignment = self.assignment(line, unread);
                    *unread |= assignment.is_none();
                    values.extend(assignment);
                }
                Rule::comma => {}
                _ => {
                    *unread = true;
                    self.bad(&line, Context::Assignment);
                }
            }
        }
        values
    }

    fn assignment(&mut self, pair: Pair<'_, Rule>, unread: &mut bool) -> Option<Assignment> {
        let span = self.span(&pair);
        let (mut field, mut value) = (None, Assigned::Absent);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path => field = Some(self.path(part)),
                Rule::value => value = Assigned::Value(self.value(part)?),
                Rule::values => value = Assigned::Item(self.assignments(part, unread)),
                _ => {}
            }
        }
        Some(Assignment { span, field: field?, value })
    }
}
