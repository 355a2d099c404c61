//! Tables of replacements: `replace` blocks, and the arms that these and `map` steps have.

use pest::iterators::Pair;

use super::ast::*;
use super::build::Builder;
use super::explain::Context;
use super::parse::Rule;

impl Builder<'_> {
    pub(super) fn replace(&mut self, pair: Pair<'_, Rule>) -> Option<Replace> {
        let span = self.span(&pair);
        let (mut field, mut shared, mut arms, mut unread_arms) = (None, None, Vec::new(), false);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::path => field = Some(self.path(part)),
                Rule::shared_name => shared = Some(self.name_in(part)?),
                Rule::arms => (arms, unread_arms) = self.arms(part),
                _ => {}
            }
        }
        Some(Replace { span, field: field?, shared, arms, unread_arms })
    }

    /// The arms of a table, and whether one of them could not be read.
    pub(super) fn arms(&mut self, pair: Pair<'_, Rule>) -> (Vec<Arm>, bool) {
        let (mut arms, mut unread) = (Vec::new(), false);
        for arm in pair.into_inner() {
            if arm.as_rule() == Rule::arm {
                let arm = self.arm(arm);
                unread |= arm.is_none();
                arms.extend(arm);
            } else {
                unread = true;
                self.bad(&arm, Context::Arm);
            }
        }
        (arms, unread)
    }

    fn arm(&mut self, pair: Pair<'_, Rule>) -> Option<Arm> {
        let span = self.span(&pair);
        let (mut sides, mut way) = (Vec::new(), Way::Forward);
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::value => sides.push(Some(ArmFrom::Value(self.value(part)?))),
                Rule::arm_test => {
                    let span = self.span(&part);
                    sides.push(Some(ArmFrom::Test { span, test: self.test(part.into_inner().next()?)? }));
                }
                Rule::kw_else => sides.push(None),
                Rule::mutual => way = Way::Both,
                Rule::from_right => way = Way::Backward,
                _ => {}
            }
        }
        let (right, left) = (sides.pop()?, sides.pop()?);
        let (from, to) = if way == Way::Backward { (right, left) } else { (left, right) };
        // A comparison is allowed only on the left.
        let Some(ArmFrom::Value(to)) = to else { return None };
        Some(Arm { span, from, way, to })
    }
}
