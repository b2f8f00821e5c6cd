# 1. In the carrier's Microsoft tenant, once for all customers: sbc2.example.org is the trunk, the customers'
#    names below it inherit all of it. It has no users.
Connect-MicrosoftTeams
New-CsOnlinePSTNGateway -Fqdn sbc2.example.org -SipSignalingPort 5061 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -SendSipOptions $true -MediaBypass $false -Enabled $true

# 2. In the customer's Microsoft tenant. Its domain contoso.sbc2.example.org has to be verified there, and one licensed
#    user or resource account must have an address in it (up to 24 hours). No New-CsOnlinePSTNGateway here.
Connect-MicrosoftTeams

Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='portcullis-contoso'}
New-CsOnlineVoiceRoute -Identity 'portcullis-contoso' -NumberPattern '.*' -Priority 1 `
  -OnlinePstnGatewayList contoso.sbc2.example.org -OnlinePstnUsages 'portcullis-contoso'
New-CsOnlineVoiceRoutingPolicy -Identity 'portcullis-contoso' -OnlinePstnUsages 'portcullis-contoso'

# No number of this tenant goes to Teams.
