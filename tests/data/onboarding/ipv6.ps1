# 1. In the carrier's Microsoft tenant, once for all customers: sbc1.example.net is the trunk, the customers'
#    names below it inherit all of it. That domain has to be verified there, and one licensed user or resource
#    account must have an address in it (up to 24 hours). It has no other users.
Connect-MicrosoftTeams
New-CsOnlinePSTNGateway -Fqdn sbc1.example.net -SipSignalingPort 5061 -MaxConcurrentSessions 2000 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -IPAddressVersion IPv6 `
  -SendSipOptions $true -MediaBypass $false -Enabled $true

# 2. In the customer's Microsoft tenant.
#    The domain contoso.sbc1.example.net has to be verified there, and one licensed user or resource account
#    must have an address in it (up to 24 hours). No New-CsOnlinePSTNGateway for it here.
Connect-MicrosoftTeams

Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='portcullis-contoso'}
New-CsOnlineVoiceRoute -Identity 'portcullis-contoso' -NumberPattern '.*' -Priority 1 `
  -OnlinePstnGatewayList contoso.sbc1.example.net -OnlinePstnUsages 'portcullis-contoso'
New-CsOnlineVoiceRoutingPolicy -Identity 'portcullis-contoso' -OnlinePstnUsages 'portcullis-contoso'

# Emergency calls by this route whatever a user's own policy says: keep the numbers of the users' country, take
# away the marks, and grant the policy to users or network sites.
# $emergency = @(
#   New-CsTeamsEmergencyNumber -EmergencyDialString '112' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '911' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '933' -OnlinePSTNUsage 'portcullis-contoso'
#   New-CsTeamsEmergencyNumber -EmergencyDialString '999' -OnlinePSTNUsage 'portcullis-contoso'
# )
# New-CsTeamsEmergencyCallRoutingPolicy -Identity 'portcullis-contoso' -EmergencyNumbers $emergency -AllowEnhancedEmergencyServices $true
# Grant-CsTeamsEmergencyCallRoutingPolicy -Identity '<user>' -PolicyName 'portcullis-contoso'

# No number of this tenant goes to Teams.
