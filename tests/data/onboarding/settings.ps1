# 1. In the carrier's Microsoft tenant, once for all customers: sbc1.example.net is the trunk, the customers'
#    names below it inherit all of it. That domain has to be verified there, and one licensed user or resource
#    account must have an address in it (up to 24 hours). It has no other users.
Connect-MicrosoftTeams
# -ForwardPai is for all whose names are below this trunk, and `forward_pai` is on for contoso, and not for adatum:
# switch it on for all of them here, or for none.
New-CsOnlinePSTNGateway -Fqdn sbc1.example.net -SipSignalingPort 5061 -MaxConcurrentSessions 2000 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -ForwardPai $true -PidfLoSupported $true `
  -SendSipOptions $true -MediaBypass $false -Enabled $true
# `local_media` of contoso: Teams says where users are only over a trunk with a mode and a network site. Fill in
# the site's name as New-CsTenantNetworkSite has it (case counts); left empty, nothing is set. 'OnlyForLocalUsers' where
# users at other sites don't reach this node's inner address; -ProxySbc where Teams reaches it through another SBC alone.
# Teams wants -MediaBypass $true for that, and `bypass` is off: switch it on here first.
# Microsoft does not say whose sites count for names below a carrier's trunk: try it with one user.
$site = ''
if ($site) { Set-CsOnlinePSTNGateway -Identity 'sbc1.example.net' -BypassMode 'Always' -GatewaySiteId $site -ProxySbc $null }

# 2. In the customer's Microsoft tenant.
#    The domain contoso.sbc1.example.net has to be verified there, and one licensed user or resource account
#    must have an address in it (up to 24 hours). No New-CsOnlinePSTNGateway for it here.
#    The domain sbc.contoso.example, or one above it, has to be verified there, and one licensed user or
#    resource account must have an address in the domain that is (up to 24 hours).
#    The domain old.contoso.example, or one above it, has to be verified there, and one licensed user or
#    resource account must have an address in the domain that is (up to 24 hours).
Connect-MicrosoftTeams
New-CsOnlinePSTNGateway -Fqdn sbc.contoso.example -SipSignalingPort 5061 -MaxConcurrentSessions 40 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -ForwardPai $true -PidfLoSupported $true `
  -SendSipOptions $true -MediaBypass $true -Enabled $true
# `local_media` of contoso: Teams says where users are only over a trunk with a mode and a network site. Fill in
# the site's name as New-CsTenantNetworkSite has it (case counts); left empty, nothing is set. 'OnlyForLocalUsers' where
# users at other sites don't reach this node's inner address; -ProxySbc where Teams reaches it through another SBC alone.
$site = ''
if ($site) { Set-CsOnlinePSTNGateway -Identity 'sbc.contoso.example' -BypassMode 'Always' -GatewaySiteId $site -ProxySbc $null }
New-CsOnlinePSTNGateway -Fqdn old.contoso.example -SipSignalingPort 5061 -MaxConcurrentSessions 40 `
  -FailoverTimeSeconds 20 -FailoverResponseCodes "408,503,504" -ForwardCallHistory $true `
  -ForwardPai $true -PidfLoSupported $true `
  -SendSipOptions $true -MediaBypass $true -Enabled $true
# `local_media` of contoso: Teams says where users are only over a trunk with a mode and a network site. Fill in
# the site's name as New-CsTenantNetworkSite has it (case counts); left empty, nothing is set. 'OnlyForLocalUsers' where
# users at other sites don't reach this node's inner address; -ProxySbc where Teams reaches it through another SBC alone.
$site = ''
if ($site) { Set-CsOnlinePSTNGateway -Identity 'old.contoso.example' -BypassMode 'Always' -GatewaySiteId $site -ProxySbc $null }

Set-CsOnlinePstnUsage -Identity Global -Usage @{Add='portcullis-contoso'}
New-CsOnlineVoiceRoute -Identity 'portcullis-contoso' -NumberPattern '.*' -Priority 1 `
  -OnlinePstnGatewayList sbc.contoso.example,old.contoso.example,contoso.sbc1.example.net -OnlinePstnUsages 'portcullis-contoso'
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

# Who has which number: fill in the users' names; those left empty are left out.
$users = [ordered]@{
  '+12065550100;ext=1234' = ''
  '+14255550100' = ''
  '+14255550102' = ''
}
foreach ($number in $users.Keys) {
  $user = $users[$number]
  if (-not $user) { continue }
  # Modules before 2026 have -PhoneNumber and -PhoneNumberType instead of -TelephoneNumber and -NumberType.
  Set-CsPhoneNumberAssignment -Identity $user -TelephoneNumber $number -NumberType DirectRouting
  Grant-CsOnlineVoiceRoutingPolicy -Identity $user -PolicyName 'portcullis-contoso'
}
