//! The catalogue in Chinese: of each check its title, and every remedy that it may name.
//!
//! Tickets are stored in English, whoever reads them; what a receiver is sent in Chinese is put together here, right
//! before it is rendered, so that neither the engine nor the stored objects know of languages. The finding's own sentence
//! stays English: it is composed of names, numbers and causes that a stored ticket does not keep apart, and prose that is
//! taken to pieces again breaks in silence with the next change of a word.

use std::borrow::Cow;

use patrol_core::notice::Notice;

use crate::agent_version_mismatch::RESTART;
use crate::kind_unreadable::{CORRECT_FILES, CORRECT_OBJECTS, LOOK_FOR_ERRORS, REPAIR_API};
use crate::namespace_psa_below_required::{SET_ENFORCE, SET_LABEL, SET_VERSION};
use crate::namespace_unpatrolled::{ADD_BASELINES, RESUME};
use crate::node_agent_not_ready::REPAIR_NODE;
use crate::{CATALOGUE, node_agent};

/// A check's texts.
struct Texts {
    id: &'static str,
    title: &'static str,
    /// For the remedy of its description.
    remedy: &'static str,
}

/// Sorted by id, as the catalogue is.
const TEXTS: &[Texts] = &[
    Texts {
        id: "agent-version-mismatch",
        title: "Agent 镜像、版本或注入版本不符合要求",
        remedy: "升级 Agent 镜像或注入器，然后重启仍在使用旧版本的工作负载。",
    },
    Texts {
        id: "component-missing",
        title: "必需的安全组件未安装",
        remedy: "安装该组件；如果它在本集群中使用其他名称，请修正策略中的要求。",
    },
    Texts {
        id: "component-unavailable",
        title: "必需的安全组件不可用",
        remedy: "恢复该组件：查看其 Pod 的事件和日志。",
    },
    Texts {
        id: "injector-unhealthy",
        title: "Sidecar 注入器当前无法注入",
        remedy: "修复注入器，然后重启在此期间创建了 Pod 的工作负载。",
    },
    Texts {
        id: "kind-unreadable",
        title: "巡检所需的资源无法读取",
        remedy: "参照 deploy/ 中的清单，为 operator 的 ClusterRole 授予该资源的 list 和 watch 权限。",
    },
    Texts {
        id: "namespace-psa-below-required",
        title: "命名空间的 Pod 安全准入（PSA）级别低于基线",
        remedy: "先将 pod-security.kubernetes.io/warn 和 audit 设为要求的级别，解决其报告的问题，再提高 pod-security.kubernetes.io/enforce。",
    },
    Texts {
        id: "namespace-psa-unlabelled",
        title: "命名空间未设置 Pod 安全准入（PSA）标签",
        remedy: "为命名空间设置标签 pod-security.kubernetes.io/enforce: baseline，其 Pod 满足条件时设为 restricted；可先以同一级别设置 warn 和 audit，查看哪些 Pod 会被拒绝。",
    },
    Texts {
        id: "namespace-unpatrolled",
        title: "命名空间未被任何巡检策略覆盖",
        remedy: "扩大某个 PatrolPolicy 的 spec.scope.namespaces，使其覆盖该命名空间。",
    },
    Texts {
        id: "node-agent-excluded",
        title: "DaemonSet 无法覆盖需要 Agent 的节点",
        remedy: "为 DaemonSet 补充缺少的容忍、节点选择器或亲和性，或将这类节点排除在要求之外。",
    },
    Texts {
        id: "node-agent-missing",
        title: "节点缺少必需的 Agent",
        remedy: "让 Agent 的 DaemonSet 覆盖该节点，或将这类节点排除在要求之外。",
    },
    Texts {
        id: "node-agent-not-ready",
        title: "节点上的 Agent 未就绪",
        remedy: "查看该节点上 Agent Pod 的事件和日志，排除导致其未就绪的原因。",
    },
    Texts {
        id: "patrol-overdue",
        title: "巡检逾期或告警未送达",
        remedy: "查看 PatrolPolicy 的 Covered、Ready、Alerting 状况，其 AlertReceiver 的状况以及 operator 的日志，排除导致巡检无法完成或告警无法送达的原因。",
    },
    Texts {
        id: "sidecar-injection-opted-out",
        title: "必需的 Sidecar 注入被关闭",
        remedy: "移除关闭注入的标记并重启工作负载；如需保留，请创建豁免，写明原因和到期时间。",
    },
    Texts {
        id: "sidecar-missing",
        title: "缺少必需的 Sidecar",
        remedy: "为这些 Pod 启用注入并重启工作负载，或将该容器加入 Pod 模板。",
    },
    Texts {
        id: "sidecar-not-injectable",
        title: "Pod 无法被任何注入器注入 Sidecar",
        remedy: "改由节点 Agent 防护该 Pod（并在策略中将其指定为替代），或将该容器手动写入 Pod 模板，或将该 Pod 排除在要求之外。",
    },
    Texts {
        id: "sidecar-not-ready",
        title: "必需的 Sidecar 已存在但未就绪",
        remedy: "查看 Pod 的事件和 Sidecar 容器的日志，排除导致其无法启动的原因。",
    },
    Texts {
        id: "virtual-node-pod-uncovered",
        title: "虚拟节点上的 Pod 没有任何 Agent 防护",
        remedy: "将某个 Sidecar 检查指定为 virtualNodeSubstitute，并将其 Sidecar 注入虚拟节点上的 Pod，例如使用匹配标签 serverless.alibabacloud.com/virtual-node: \"true\" 的 SidecarSet。",
    },
    Texts {
        id: "waiver-overdue",
        title: "豁免逾期未清理",
        remedy: "删除该豁免，或为其续期：设置新的到期时间，并写明目前仍然成立的原因。",
    },
];

/// Remedies beside those of the descriptions, by their English words. `{}` stands for what a finding puts in its place.
const REMEDIES: &[(&str, &str)] = &[
    (RESTART, "重启工作负载，使其 Pod 注入注入器当前的 Sidecar。"),
    (REPAIR_API, "修复提供该资源的 API；operator 会持续重试。"),
    (
        LOOK_FOR_ERRORS,
        "在 operator 和 API server 的日志中查找 list 请求的错误和限流。",
    ),
    (CORRECT_FILES, "修正所列文件，或将其从输入中移除。"),
    (
        CORRECT_OBJECTS,
        "修正所列的 {} 对象，使每个字段的类型符合其 API 的规定；具体字段见 operator 的日志。",
    ),
    (
        SET_ENFORCE,
        "将 pod-security.kubernetes.io/enforce 设为 privileged、baseline 或 restricted。",
    ),
    (
        SET_LABEL,
        "将该标签设为 privileged、baseline 或 restricted。",
    ),
    (
        SET_VERSION,
        "将 pod-security.kubernetes.io/enforce-version 设为 latest，或不低于要求的版本。",
    ),
    (RESUME, "恢复已暂停的 PatrolPolicy，或扩大其他策略的范围。"),
    (
        ADD_BASELINES,
        "在覆盖该命名空间的 PatrolPolicy 的 spec.baselines 中加入 {}，或扩大已包含它的策略的范围。",
    ),
    (
        REPAIR_NODE,
        "修复该节点；如果它已不再使用，请将其从集群中移除。",
    ),
];

/// Remedies of the causes that a node lacks its agent.
const OF_CAUSES: &[(&str, &str)] = &[
    (
        "taint-not-tolerated",
        "为 Agent 的 DaemonSet 添加对该污点的容忍，或将这类节点排除在要求之外。",
    ),
    (
        "selector-mismatch",
        "放宽 Agent 的 DaemonSet 的 nodeSelector，或为节点添加标签，或将这类节点排除在要求之外。",
    ),
    (
        "affinity-mismatch",
        "放宽 Agent 的 DaemonSet 的强制节点亲和性，或将这类节点排除在要求之外。",
    ),
    (
        "pending",
        "为该节点上的 Agent Pod 腾出资源：查看其 PodScheduled 状况中的信息；较高的 priorityClassName 有助于调度。",
    ),
    (
        "not-created",
        "查看 Agent 的 DaemonSet 的事件：配额、准入 Webhook 或停止运行的 controller manager 会使 Pod 无法创建。",
    ),
    (
        "no-controller",
        "按其他节点的方式在该节点上部署 Agent，或改用 DaemonSet 运行 Agent。",
    ),
];

/// A check's title; `None` for a check that is not of this catalogue.
#[must_use]
pub fn title(check: &str) -> Option<&'static str> {
    texts(check).map(|texts| texts.title)
}

/// A remedy that a finding of a check names; `None` for words that are not of this catalogue.
#[must_use]
pub fn remedy(check: &str, english: &str) -> Option<Cow<'static, str>> {
    let described = CATALOGUE.find(check).map(|check| check.meta().remediation);
    if described == Some(english) {
        return texts(check).map(|texts| texts.remedy.into());
    }
    let of_causes = OF_CAUSES
        .iter()
        .find(|(cause, _)| node_agent::remedy(cause) == english);
    if let Some((_, chinese)) = of_causes {
        return Some((*chinese).into());
    }
    REMEDIES.iter().find_map(|(pattern, chinese)| {
        let Some((before, after)) = pattern.split_once("{}") else {
            return (*pattern == english).then_some((*chinese).into());
        };
        let given = english.strip_prefix(before)?.strip_suffix(after)?;
        Some(chinese.replace("{}", given).into())
    })
}

fn texts(check: &str) -> Option<&'static Texts> {
    TEXTS.iter().find(|texts| texts.id == check)
}

/// A notice for people who read Chinese. What the catalogue does not know (another version's words, say) stays as it is.
#[must_use]
pub fn notice(english: &Notice) -> Notice {
    let mut notice = english.clone();
    for ticket in &mut notice.tickets {
        // What a receiver may not know is empty, and stays so.
        if let Some(title) = title(&ticket.check).filter(|_| !ticket.title.is_empty()) {
            title.clone_into(&mut ticket.title);
        }
        if let Some(remedy) = remedy(&ticket.check, &ticket.remediation) {
            ticket.remediation = remedy.into_owned();
        }
    }
    notice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_chinese(text: &str) -> bool {
        text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
    }

    /// Nothing that a chat could take for markup, and no half-width punctuation after Chinese words.
    fn is_plain(text: &str) -> bool {
        let markup = |c: char| "*_~`<>[]#|@\\\n\t".contains(c);
        let follows =
            |pair: &[char]| is_chinese(&pair[0].to_string()) && ",.;:?!".contains(pair[1]);
        let characters: Vec<char> = text.chars().collect();
        !text.chars().any(markup) && !characters.windows(2).any(follows)
    }

    #[test]
    fn every_check_has_a_title_and_a_remedy_of_its_own() {
        let ids: Vec<&str> = CATALOGUE.checks.iter().map(|c| c.meta().id).collect();
        let ours: Vec<&str> = TEXTS.iter().map(|texts| texts.id).collect();
        assert_eq!(ours, ids);
        let mut titles = std::collections::BTreeSet::new();
        for check in CATALOGUE.checks {
            let meta = check.meta();
            let title = title(meta.id).unwrap();
            assert!(is_chinese(title) && is_plain(title), "{title}");
            assert_ne!(title, meta.title);
            assert!(
                !title.ends_with('。') && title.chars().count() <= 40,
                "{title}"
            );
            assert!(titles.insert(title), "twice: {title}");
            let remedy = remedy(meta.id, meta.remediation).unwrap();
            assert!(is_chinese(&remedy) && is_plain(&remedy), "{remedy}");
            assert_ne!(remedy, meta.remediation);
            assert!(remedy.ends_with('。'), "{remedy}");
        }
    }

    #[test]
    fn every_other_remedy_is_known_by_its_words() {
        let causes = OF_CAUSES
            .iter()
            .map(|(cause, chinese)| (node_agent::remedy(cause), *chinese));
        for (english, chinese) in causes.chain(REMEDIES.iter().copied()) {
            assert!(!english.is_empty(), "{chinese}");
            assert!(is_chinese(chinese) && is_plain(chinese), "{chinese}");
            assert!(chinese.ends_with('。'), "{chinese}");
            assert_eq!(english.contains("{}"), chinese.contains("{}"), "{chinese}");
            let said = remedy("node-agent-missing", &english.replace("{}", "a, b")).unwrap();
            assert_eq!(said, chinese.replace("{}", "a, b"));
        }
        assert_eq!(remedy("node-agent-missing", "Something else."), None);
        assert_eq!(remedy("node-agent-missing", ""), None);
        assert_eq!(remedy("no-such-check", "Something else."), None);
    }
}
