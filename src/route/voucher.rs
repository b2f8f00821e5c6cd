//! What a tenant's registration hook says of a user that the tenant's file does not list.

use crate::config::{
    Account, Application, ApplicationName, Hook, HookMethod, HookUrl, Reach, Sid, Speech, Tenant, User, UserName,
    UserSecret,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A user's rights, as the hook gave them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// It may not call other users.
    pub no_users: bool,
    /// What decides about its calls; `None`: the tenant's routes.
    pub steered_by: Option<Steering>,
}

/// What decides about the calls of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steering {
    /// An application of the account.
    Application(Sid),
    /// Hooks of the user's own; absolute URLs.
    Hook { call: String, status: Option<String> },
}

/// What is known of the users in a call whom the file does not list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The caller's rights.
    pub caller: Option<Voucher>,
    /// The dialled name is such a user of the caller's realm.
    pub callee: bool,
}

impl Voucher {
    /// The user, as if it were listed. Its number is the one that leads to it.
    pub fn user(&self, tenant: &Tenant, name: &UserName) -> User {
        User {
            name: name.clone(),
            secret: UserSecret {
                md5: None,
                sha256: None,
            },
            number: tenant.number_of(name),
            display: None,
            may_call: Reach {
                users: !self.no_users,
                teams: true,
                phones: true,
            },
            srtp: false,
        }
    }
}

impl Steering {
    /// The application of this account; `None` when it is not there any more.
    pub fn application(&self, account: &Account) -> Option<Arc<Application>> {
        match self {
            Steering::Application(sid) => account.applications.iter().find(|known| known.sid == *sid).cloned(),
            Steering::Hook { call, status } => {
                let hook = |url: &str| {
                    Some(Hook {
                        url: HookUrl::parse(url).ok()?,
                        method: HookMethod::Post,
                        login: None,
                    })
                };
                Some(Arc::new(Application {
                    name: ApplicationName::parse("registration_hook").ok()?,
                    sid: Sid::derived(&format!("registration_hook/{}", account.sid)),
                    hook: hook(call)?,
                    status_hook: status.as_deref().and_then(hook),
                    fallback: None,
                    secret: account.secret.clone(),
                    speech: Speech {
                        language: "en-US".into(),
                        voice: None,
                        vendor: None,
                    },
                    env_vars: Vec::new(),
                }))
            }
        }
    }
}
