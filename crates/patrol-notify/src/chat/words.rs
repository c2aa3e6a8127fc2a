//! Every phrase of a chat message, in English and in Simplified Chinese.
//!
//! A phrase says what is known and no more: only a patrol that looked says «fixed».

use patrol_api::receiver::Locale;
use patrol_api::words::{AlertReason, OverlayKind, Party, Resolution, Severity};

/// The phrases of one language.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words(pub(super) Locale);

macro_rules! phrases {
    ($($(#[$doc:meta])* $name:ident: $en:literal, $zh:literal;)+) => {
        $(
            $(#[$doc])*
            pub(super) const fn $name(self) -> &'static str {
                self.pick($en, $zh)
            }
        )+
    };
}

impl Words {
    const fn pick(self, en: &'static str, zh: &'static str) -> &'static str {
        match self.0 {
            Locale::En => en,
            Locale::ZhCn => zh,
        }
    }

    phrases! {
        place: "Where", "位置";
        what: "What", "详情";
        /// Before the names of what was wrong.
        was: "Was", "原问题";
        since: "Since", "开始时间";
        lasted: "Lasted", "持续时间";
        due: "Due", "处理期限";
        turn: "Turn", "责任方";
        fix: "Fix", "修复方法";
        more: "More", "查看详情";
        cluster: "Cluster", "集群";
        policy: "Policy", "巡检策略";
        guide: "about this check", "检查项说明";
        nobody: "nobody assigned", "尚未指派";
        flapping: "comes and goes", "反复出现";
        failover: "Sent here because the receiver it is meant for does not answer.",
            "原接收方暂时不可用，由本接收方代为接收。";
        /// What is told as ended.
        closed: "Closed", "已关闭";
        fixed: "Fixed", "已修复";
        waived: "Waived", "已豁免";
        digest: "Digest", "汇总";
        /// Before the command that lists what is told by number.
        all_of_them: "All of them", "查看全部";
        alive: "kube-patrol is alive", "kube-patrol 运行正常";
        alive_text: "Patrols run, and what they see is fresh.",
            "巡检按计划运行，数据均为最新。";
        alive_else: "If these messages stop, something is wrong with kube-patrol itself",
            "如不再收到此消息，说明 kube-patrol 自身异常，请检查";
        test: "Test message", "测试消息";
        test_text: "kube-patrol can reach this receiver. Nothing is wrong, nothing is to be done.",
            "kube-patrol 已能向此接收方发送消息。一切正常，无需处理。";
        receiver: "Receiver", "接收方";
        sent: "Sent", "发送时间";
        comma: ", ", "，";
        colon: ": ", "：";
    }

    pub(super) const fn severity(self, severity: Severity) -> &'static str {
        match severity {
            Severity::Critical => self.pick("Critical", "严重"),
            Severity::High => self.pick("High", "高危"),
            Severity::Medium => self.pick("Medium", "中危"),
            Severity::Low => self.pick("Low", "低危"),
            Severity::Info => self.pick("Info", "提示"),
        }
    }

    pub(super) const fn party(self, party: Party) -> &'static str {
        match party {
            Party::Customer => self.pick("customer", "客户方"),
            Party::Platform => self.pick("platform", "平台方"),
            Party::Shared => self.pick("customer and platform", "客户方与平台方共同负责"),
        }
    }

    /// Tickets that went with their objects.
    pub(super) fn gone(self, count: u64, policy: &str, since: &str) -> String {
        match (self.0, count) {
            (Locale::ZhCn, _) => format!(
                "策略 {policy} 的 {count} 个已通知的工单（统计于 {since}）随其对象一起被删除，当时 kube-patrol 未在运行；它们均已关闭。"
            ),
            (Locale::En, 1) => format!(
                "A ticket of policy {policy} that you were told of (as of {since}) was deleted with its objects while kube-patrol \
                 was not running. It is closed."
            ),
            (Locale::En, _) => format!(
                "{count} tickets of policy {policy} that you were told of (as of {since}) were deleted with their objects while \
                 kube-patrol was not running. They are closed."
            ),
        }
    }

    /// Why it is told now.
    pub(super) const fn reason(self, reason: AlertReason) -> &'static str {
        match reason {
            AlertReason::Opened => self.pick("New", "新发现"),
            AlertReason::Reopened => self.pick("Came back", "再次出现"),
            AlertReason::Reminder => self.pick("Still open", "仍未解决"),
            AlertReason::Escalated => self.pick("Escalated", "已升级"),
            AlertReason::SeverityRaised => self.pick("Now more severe", "严重程度上升"),
            AlertReason::SLABreached => self.pick("Past its deadline", "已超过处理期限"),
            AlertReason::ReArmed => self.pick("Its pause is over", "确认或暂缓已到期"),
            AlertReason::WaiverEnded => self.pick("Its waiver has ended", "豁免已失效"),
            AlertReason::Overdue => self.pick(
                "Open for long without a word about it",
                "长期未解决且未再提醒",
            ),
            AlertReason::Resolved => self.pick("Closed", "已关闭"),
            AlertReason::Waived => self.pick("Waived", "已豁免"),
            AlertReason::Baseline => self.pick("Known from the start", "接入时已存在"),
            AlertReason::Late => self.pick(
                "Opened and closed before it could be told",
                "在通知送达前出现并已关闭",
            ),
            AlertReason::Acknowledged => self.pick("Somebody knows of it", "已确认"),
            AlertReason::Snoozed => self.pick("Put off for a while", "已暂缓"),
            AlertReason::Assigned => self.pick("Somebody works on it", "已指派"),
            AlertReason::Withdrawn => self.pick("No longer for this receiver", "不再发往此接收方"),
            AlertReason::Mixed => self.pick("Several changes", "多项变化"),
        }
    }

    /// How it ended.
    pub(super) const fn resolution(self, resolution: Resolution) -> &'static str {
        match resolution {
            Resolution::Fixed => {
                self.pick("Fixed: a patrol has verified it", "已修复（经巡检确认）")
            }
            Resolution::SubjectGone => self.pick("The object was deleted", "对象已删除"),
            Resolution::NoLivePods => self.pick("No pods of it are running", "已没有运行中的 Pod"),
            Resolution::Waived => {
                self.pick("Waived: the finding remains", "已豁免（问题仍然存在）")
            }
            Resolution::PolicyRemoved => self.pick(
                "The policy was removed: not checked any more",
                "巡检策略已删除，不再检查",
            ),
            Resolution::OutOfScope => self.pick(
                "Out of the policy's scope: not checked any more",
                "已不在巡检范围内，不再检查",
            ),
            Resolution::CheckDisabled => self.pick(
                "The check was switched off: not checked any more",
                "检查项已停用，不再检查",
            ),
        }
    }

    /// A headline's part: how many of a state.
    pub(super) fn firing(self, count: u32) -> String {
        self.counted(count, "open", "项未解决")
    }

    pub(super) fn opened(self, count: u32) -> String {
        self.counted(count, "new", "项新增")
    }

    pub(super) fn ended(self, count: u32) -> String {
        self.counted(count, "closed", "项已关闭")
    }

    pub(super) fn late(self, count: u32) -> String {
        self.counted(count, "past the deadline", "项已超期")
    }

    pub(super) fn taken(self, count: u32) -> String {
        self.counted(count, "taken by people", "项已确认或暂缓")
    }

    pub(super) fn put_aside(self, count: u32) -> String {
        self.counted(count, "waived", "项已豁免")
    }

    fn counted(self, count: u32, en: &str, zh: &str) -> String {
        match self.0 {
            Locale::En => format!("{count} {en}"),
            Locale::ZhCn => format!("{count} {zh}"),
        }
    }

    /// `Critical 3`.
    pub(super) fn of_severity(self, severity: Severity, count: usize) -> String {
        format!("{} {count}", self.severity(severity))
    }

    /// What is told by number.
    pub(super) fn not_listed(self, count: usize) -> String {
        match self.0 {
            Locale::En => format!("{count} more, not listed here"),
            Locale::ZhCn => format!("另有 {count} 项未在此列出"),
        }
    }

    pub(super) fn affected(self, count: u64) -> String {
        match self.0 {
            Locale::En => format!("{count} affected"),
            Locale::ZhCn => format!("影响 {count} 处"),
        }
    }

    pub(super) fn recurrences(self, count: u64) -> String {
        match (self.0, count) {
            (Locale::En, 1) => "came back once".to_owned(),
            (Locale::En, _) => format!("came back {count} times"),
            (Locale::ZhCn, _) => format!("已复发 {count} 次"),
        }
    }

    pub(super) fn step(self, level: u64) -> String {
        match self.0 {
            Locale::En => format!("Escalated: step {level}"),
            Locale::ZhCn => format!("已升级至第 {level} 级"),
        }
    }

    /// Behind a time: how far it lies ahead.
    pub(super) fn ahead(self, length: &str) -> String {
        match self.0 {
            Locale::En => format!("in {length}"),
            Locale::ZhCn => format!("还剩 {length}"),
        }
    }

    /// Behind a due time that has passed.
    pub(super) fn overdue(self, length: &str) -> String {
        match self.0 {
            Locale::En => format!("overdue by {length}"),
            Locale::ZhCn => format!("已超期 {length}"),
        }
    }

    /// Behind the time it began.
    pub(super) fn ago(self, length: &str) -> String {
        match self.0 {
            Locale::En => format!("{length} ago"),
            Locale::ZhCn => format!("已持续 {length}"),
        }
    }

    /// What people laid over it, by whom, until when.
    pub(super) fn overlay(self, kind: OverlayKind, by: Option<&str>, until: &str) -> String {
        let done = match kind {
            OverlayKind::Acknowledged => self.pick("Acknowledged", "确认"),
            OverlayKind::Snoozed => self.pick("Snoozed", "暂缓处理"),
            OverlayKind::Waived => self.pick("Waived", "豁免"),
        };
        match (self.0, by) {
            (Locale::En, Some(by)) => format!("{done} by {by} until {until}"),
            (Locale::En, None) => format!("{done} until {until}"),
            (Locale::ZhCn, Some(by)) if kind == OverlayKind::Waived => {
                format!("已根据 {by} {done}，有效期至 {until}")
            }
            (Locale::ZhCn, Some(by)) => format!("已由 {by} {done}，有效期至 {until}"),
            (Locale::ZhCn, None) => format!("已{done}，有效期至 {until}"),
        }
    }

    /// `1/3`: which part of how many.
    pub(super) fn part(self, index: usize, count: usize) -> String {
        match self.0 {
            Locale::En => format!("({index}/{count})"),
            Locale::ZhCn => format!("（{index}/{count}）"),
        }
    }
}

/// A colour for phones, where a headline is all that is seen.
pub(super) const fn mark(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "🔴",
        Severity::High => "🟠",
        Severity::Medium => "🟡",
        Severity::Low => "🔵",
        Severity::Info => "⚪",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a patrol did not see mended is not called fixed, in any language (I2 of the contract).
    #[test]
    fn only_what_was_verified_is_fixed() {
        for locale in [Locale::En, Locale::ZhCn] {
            let words = Words(locale);
            for resolution in Resolution::ALL {
                let text = words.resolution(*resolution).to_lowercase();
                let says = text.contains("fixed") || text.contains("修复");
                assert_eq!(says, *resolution == Resolution::Fixed, "{text}");
            }
        }
    }

    #[test]
    fn every_reason_has_words_of_its_own() {
        for locale in [Locale::En, Locale::ZhCn] {
            let mut said: Vec<_> = AlertReason::ALL
                .iter()
                .map(|r| Words(locale).reason(*r))
                .collect();
            said.sort_unstable();
            said.dedup();
            assert_eq!(said.len(), AlertReason::ALL.len());
        }
    }
}
